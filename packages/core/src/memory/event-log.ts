// What has happened, in one partition: numbered from 1 on, the oldest dropped when retention asks for it.
import type { Bytes, EventPage, EventRetention, Position, StoredEvent } from '../transport'
import { Deque } from './deque'

interface Kept {
  readonly id: string
  readonly body: Bytes
  readonly at: number
}

export class PartitionEvents {
  readonly #events = new Deque<Kept>()
  readonly #partition: number
  #bytes = 0
  #last = 0
  /** The number of the last event that is gone. */
  #dropped = 0

  constructor(partition: number) {
    this.#partition = partition
  }

  /** The number of the last event. */
  get end(): number {
    return this.#dropped + this.#events.size
  }

  /** `body` is kept as it is: the caller has copied it. */
  append(id: string, body: Bytes, now: number, { maxAgeMs, maxBytes }: EventRetention): void {
    // In order of time, too, although a clock may be set back: that is what a place is searched by.
    this.#last = Math.max(this.#last, now)
    this.#events.push({ id, body, at: this.#last })
    this.#bytes += body.byteLength
    for (let first = this.#events.at(0)!; this.#events.size > 1; first = this.#events.at(0)!) {
      if (first.at >= this.#last - maxAgeMs && this.#bytes - first.body.byteLength < maxBytes) return
      this.#bytes -= first.body.byteLength
      this.#events.shift()
      this.#dropped++
    }
  }

  /** What follows `after`, if there is anything. */
  read(after: Position | undefined, max: number): EventPage | undefined {
    const asked = after === undefined ? this.#dropped : Number(after)
    const from = Math.max(asked, this.#dropped)
    const last = Math.min(this.end, from + max)
    if (last === from && from === asked) return undefined
    const events: StoredEvent[] = []
    for (let number = from + 1; number <= last; number++) {
      const { id, body } = this.#events.at(number - this.#dropped - 1)!
      events.push({ position: String(number), id, body: body.slice() })
    }
    return { partition: this.#partition, gap: from > asked, events, position: String(last) }
  }

  /** The number of the last event that was stored before `since`. */
  before(since: number): number {
    let low = 0
    let high = this.#events.size
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#events.at(middle)!.at < since) low = middle + 1
      else high = middle
    }
    return this.#dropped + low
  }
}
