// What a subscriber has seen: the log says everything at least once, and it is told once, as far as its memory reaches.
import type { CloudEvent } from './cloud-event'

const MOST = 10_000

export class SeenEvents {
  /** The latest sequence number of each run, the least recently heard of first. */
  readonly #sequences = new Map<string, string>()
  readonly #ids = new Set<string>()

  /** Whether it is new. */
  see({ id, source, sequence }: CloudEvent): boolean {
    return sequence === undefined ? this.#seeId(`${source} ${id}`) : this.#seeSequence(id, sequence)
  }

  /** The events of a run come in order: what is not above the latest has been here. */
  #seeSequence(id: string, sequence: string): boolean {
    const run = id.slice(0, id.lastIndexOf('.'))
    const latest = this.#sequences.get(run)
    if (latest !== undefined && sequence <= latest) return false
    this.#sequences.delete(run)
    this.#sequences.set(run, sequence)
    if (this.#sequences.size > MOST) this.#sequences.delete(this.#sequences.keys().next().value!)
    return true
  }

  #seeId(id: string): boolean {
    if (this.#ids.has(id)) return false
    this.#ids.add(id)
    if (this.#ids.size > MOST) this.#ids.delete(this.#ids.values().next().value!)
    return true
  }
}
