// The messages of a partition as they come. A position is the sequence of a message of the server, and the place of one of ours in it.
import type { InboxMessage, Position } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import { decodeFrames } from './frame'
import type { JetStream, Stored } from './jetstream'
import type { Names } from './names'
import { Reader } from './reader'

export interface InboxParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly names: Names
}

/** Consumed messages are removed so many at a time. */
const PURGE_AFTER = 2_000
const NOTHING = [0, 0] as const

export class Inbox {
  readonly #parts: InboxParts
  readonly #partition: number
  readonly #lost: AbortSignal
  readonly #reader: Reader
  /** The last that was consumed when this began. */
  #through: readonly [sequence: number, place: number]
  /** Read and not handed out yet. */
  #ready: InboxMessage[] = []
  #purged: number
  #polling = false
  #wake: (() => void) | undefined

  constructor(parts: InboxParts, partition: number, through: Position, lost: AbortSignal) {
    this.#parts = parts
    this.#partition = partition
    this.#lost = lost
    this.#through = parsed(through)
    this.#purged = this.#through[0]
    const { jetstream, clock, names } = parts
    this.#reader = new Reader({
      jetstream,
      clock,
      stream: names.streams.inbox,
      filter: names.inbox(partition),
      from: this.#through[0],
      onMore: () => this.#wake?.(),
      onEndLost: () => (this.#through = NOTHING),
    })
  }

  async poll({
    max,
    waitMs,
    signal,
  }: {
    max: number
    waitMs: number
    signal?: AbortSignal
  }): Promise<readonly InboxMessage[]> {
    if (this.#polling) throw new TaskError('TASKS_ARGUMENTS', 'a session has one poll at a time')
    this.#polling = true
    const { clock, lifetime } = this.#parts
    const until = clock.monotonic() + waitMs
    try {
      for (;;) {
        if (signal?.aborted || this.#lost.aborted) return []
        this.#fill(max)
        if (this.#ready.length > 0) return this.#ready.splice(0, max)
        const left = until - clock.monotonic()
        if (left <= 0) return []
        await lifetime.wait(left, [signal, this.#lost], (wake) => {
          this.#wake = wake
          return () => (this.#wake = undefined)
        })
      }
    } finally {
      this.#polling = false
    }
  }

  /** These are committed: the server may forget them, once they are worth the call. */
  consumed(through: Position): void {
    const [sequence] = parsed(through)
    if (sequence - this.#purged < PURGE_AFTER) return
    this.#purge(sequence)
  }

  /** @param through what is consumed in the end, if that is known */
  close(through?: Position): void {
    this.#reader.close()
    if (through === undefined) return
    const [sequence] = parsed(through)
    if (sequence > this.#purged) this.#purge(sequence)
  }

  /** The last one stays: there may be more in it. */
  #purge(sequence: number): void {
    const { jetstream, names } = this.#parts
    this.#purged = sequence
    jetstream.purge(names.streams.inbox, names.inbox(this.#partition), sequence).catch(() => {})
  }

  #fill(max: number): void {
    // As much as is wanted, and no more: what is decoded is in memory twice.
    while (this.#ready.length < max && !this.#reader.isEmpty)
      for (const stored of this.#reader.take(1)) this.#add(stored)
  }

  #add({ sequence, data }: Stored): void {
    const [consumed, place] = this.#through
    decodeFrames(data).forEach(({ id, body }, i) => {
      if (sequence < consumed || (sequence === consumed && i <= place)) return
      this.#ready.push({ position: `${sequence}.${i}`, id, body })
    })
  }
}

function parsed(position: Position): readonly [sequence: number, place: number] {
  if (position === '') return NOTHING
  const [sequence = 0, place = 0] = position.split('.').map(Number)
  return [sequence, place]
}
