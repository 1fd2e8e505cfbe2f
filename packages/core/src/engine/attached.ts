// Clients that are attached to a run: they are told of its end, as its submitter is. Kept in memory only: whoever hears nothing asks again.
import type { Draft, Ended } from './draft'

export class Attached {
  readonly #byId = new Map<string, Set<string>>()

  /** The addresses that are to hear of an end in this draft. */
  of(draft: Draft, { id }: Ended): ReadonlySet<string> {
    const addresses = new Set(this.#byId.get(id))
    for (const client of draft.attached) if (client.id === id) addresses.add(client.replyTo)
    return addresses
  }

  /** The draft was committed, and its replies have been sent. */
  apply(draft: Draft): void {
    for (const { id, replyTo } of draft.attached) {
      const addresses = this.#byId.get(id)
      if (addresses === undefined) this.#byId.set(id, new Set([replyTo]))
      else addresses.add(replyTo)
    }
    for (const { id } of draft.ended) this.#byId.delete(id)
  }
}
