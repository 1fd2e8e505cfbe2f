// Who waits for the end of which run, besides its submitter. Kept in memory only: whoever hears nothing asks again.
import type { Draft, Ended } from './draft'

export class Waiters {
  readonly #byId = new Map<string, Set<string>>()

  /** The addresses that are to hear of an end in this draft. */
  of(draft: Draft, { id }: Ended): ReadonlySet<string> {
    const addresses = new Set(this.#byId.get(id))
    for (const waiter of draft.waiting) if (waiter.id === id) addresses.add(waiter.replyTo)
    return addresses
  }

  /** The draft was committed, and its replies have been sent. */
  apply(draft: Draft): void {
    for (const { id, replyTo } of draft.waiting) {
      const addresses = this.#byId.get(id)
      if (addresses === undefined) this.#byId.set(id, new Set([replyTo]))
      else addresses.add(replyTo)
    }
    for (const { id } of draft.ended) this.#byId.delete(id)
  }
}
