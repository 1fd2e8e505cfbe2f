// One place in one partition's event log, and what follows it. A position names a message of the server, whose events it is behind; with the place of an event in it, if there are more of
// them.
import type { EventPage, Position, StoredEvent } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { decodeFrames } from './frame'
import type { JetStream } from './jetstream'
import type { Names } from './names'
import type { Mark } from './position'
import { markOf, positionOf } from './position'
import { Reader } from './reader'

export interface CursorParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly names: Names
  readonly patienceMs: number
}

const BEGINNING: Mark = { sequence: 0 }

/** An event, and what it takes to know whether something is gone before it. */
interface Ready extends StoredEvent {
  readonly sequence: number
}

export class EventCursor {
  readonly partition: number
  readonly #parts: CursorParts
  readonly #reader: Reader
  readonly #listeners = new Set<() => void>()
  #ready: Ready[] = []
  #position: Position | undefined
  #isEndLost = false

  constructor(parts: CursorParts, partition: number, after: Position | undefined) {
    this.#parts = parts
    this.partition = partition
    this.#position = after
    const { jetstream, clock, names } = parts
    const { sequence, at } = after === undefined ? BEGINNING : markOf(after)
    this.#reader = new Reader({
      jetstream,
      clock,
      stream: names.streams.event,
      filter: names.events(partition),
      from: lastWhole(after) + 1,
      ...(at !== undefined && { last: { sequence, at } }),
      onEndLost: () => (this.#isEndLost = true),
      onMore: () => {
        for (const listener of this.#listeners) listener()
      },
    })
  }

  /** What it is behind of. */
  get position(): Position | undefined {
    return this.#position
  }

  onMore(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get hasMore(): boolean {
    return this.#ready.length > 0 || !this.#reader.isEmpty
  }

  /** Resolves when it knows whether there is something, or when the server has said nothing for too long. */
  async looked(): Promise<void> {
    const { lifetime, patienceMs } = this.#parts
    if (this.hasMore || this.#reader.caughtUp) return
    await lifetime.wait(patienceMs, [], (wake) => this.onMore(wake))
  }

  /** The next events, if there are any; then it is behind them. */
  async page(max: number): Promise<EventPage | undefined> {
    const before = this.#position
    while (this.#ready.length < max && !this.#reader.isEmpty) this.#fill()
    const events = this.#ready.splice(0, max)
    const [first, last] = [events[0], events.at(-1)]
    if (first === undefined || last === undefined) return undefined
    this.#position = last.position
    const isMissing = this.#isEndLost || (await this.#isMissing(lastWhole(before) + 1, first.sequence))
    const gap = before !== undefined && isMissing
    this.#isEndLost = false
    return { partition: this.partition, gap, events, position: last.position }
  }

  close(): void {
    this.#reader.close()
  }

  #fill(): void {
    const before = this.#position === undefined ? BEGINNING : markOf(this.#position)
    for (const { sequence, at, data } of this.#reader.take(1)) {
      const frames = decodeFrames(data)
      const consumed = sequence === before.sequence && at === before.at ? (before.place ?? -1) : -1
      frames.forEach(({ id, body }, place) => {
        if (place <= consumed) return
        const position = positionOf({ sequence, at, ...(place < frames.length - 1 && { place }) })
        this.#ready.push({ position, id, body, sequence })
      })
    }
  }

  /**
   * Whether the server has dropped something from a sequence on, before another. It drops the oldest of all partitions: what is gone may have been another's,
   * and then this is said in vain.
   */
  async #isMissing(from: number, next: number): Promise<boolean> {
    if (next <= from) return false
    const info = await this.#parts.jetstream.streamInfo(this.#parts.names.streams.event)
    return info !== undefined && info.state.first_seq > from
  }
}

/** The sequence of the last message all of whose events are before this position. */
function lastWhole(position: Position | undefined): number {
  const { sequence, place } = position === undefined ? BEGINNING : markOf(position)
  return place === undefined ? sequence : sequence - 1
}
