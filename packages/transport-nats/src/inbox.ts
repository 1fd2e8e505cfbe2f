// The messages of a partition as they come. A position names a message of the server, and the place of one of ours in it.
import type { InboxMessage, Position } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import { decodeFrames } from './frame'
import type { JetStream, Stored } from './jetstream'
import type { Names } from './names'
import type { Mark } from './position'
import { markOf, positionOf } from './position'
import { Reader } from './reader'

export interface InboxParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly names: Names
}

/** Consumed messages are removed so many at a time, or so many bytes of them; fewer after a while, since the room they take may be wanted. */
const PURGE_AFTER = 2_000
const PURGE_BYTES = 4 * 1024 * 1024
const PURGE_MS = 10_000
const NOTHING: Mark = { sequence: 0 }

export class Inbox {
  readonly #parts: InboxParts
  readonly #partition: number
  readonly #lost: AbortSignal
  readonly #reader: Reader
  /** The last that was consumed when this began. */
  #through: Mark
  /** Read and not handed out yet. */
  #ready: InboxMessage[] = []
  #purged: number
  /** Bytes that were read since. What a predecessor has left is not known: enough for a call. */
  #unpurged = PURGE_BYTES
  #isPurging = false
  #consumed: Position = ''
  #cancelPurge: (() => void) | undefined
  #polling = false
  #wake: (() => void) | undefined

  constructor(parts: InboxParts, partition: number, through: Position, lost: AbortSignal) {
    this.#parts = parts
    this.#partition = partition
    this.#lost = lost
    this.#through = through === '' ? NOTHING : markOf(through)
    const { sequence, at } = this.#through
    this.#purged = sequence
    const { jetstream, clock, names } = parts
    this.#reader = new Reader({
      jetstream,
      clock,
      stream: names.streams.inbox,
      filter: names.inbox(partition),
      from: sequence,
      ...(at !== undefined && { last: { sequence, at } }),
      onMore: () => this.#wake?.(),
      onEndLost: () => {
        this.#through = NOTHING
        this.#purged = 0
      },
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
    this.#consumed = through
    if (this.#unpurged >= PURGE_BYTES || markOf(through).sequence - this.#purged >= PURGE_AFTER)
      void this.purge(through)
    else if (!this.#lost.aborted)
      this.#cancelPurge ??= this.#parts.clock.after(
        PURGE_MS,
        () => {
          this.#cancelPurge = undefined
          void this.purge(this.#consumed)
        },
        { unref: true },
      )
  }

  close(): void {
    this.#cancelPurge?.()
    this.#reader.close()
  }

  /** Up to a position that is committed. */
  async purge(through: Position): Promise<void> {
    const { sequence } = markOf(through)
    if (this.#isPurging || !(sequence > this.#purged)) return
    this.#isPurging = true
    this.#unpurged = 0
    try {
      if (await removeConsumed(this.#parts, this.#partition, through)) this.#purged = sequence
    } catch {
      // Another time.
    } finally {
      this.#isPurging = false
    }
  }

  #fill(max: number): void {
    // As much as is wanted, and no more: what is decoded is in memory twice.
    while (this.#ready.length < max && !this.#reader.isEmpty)
      for (const stored of this.#reader.take(1)) this.#add(stored)
  }

  #add({ sequence, at, data }: Stored): void {
    this.#unpurged += data.length
    const consumed = this.#through.sequence === sequence ? (this.#through.place ?? -1) : -1
    decodeFrames(data).forEach(({ id, body }, place) => {
      if (place > consumed) this.#ready.push({ position: positionOf({ sequence, place, at }), id, body })
    })
  }
}

/**
 * Removes what is before a position that is committed. Its own message stays: there may be more in it, and the next owner knows by it whether the stream has lost its end. If it is not there, what
 * has a lower number may be new: then nothing is removed.
 */
export async function removeConsumed(
  { jetstream, names }: Pick<InboxParts, 'jetstream' | 'names'>,
  partition: number,
  through: Position,
): Promise<boolean> {
  if (through === '') return false
  const { sequence, at } = markOf(through)
  const stream = names.streams.inbox
  const found = await jetstream.find(stream, { seq: sequence })
  if (found === undefined || found.at !== at) return false
  await jetstream.purgeBefore(stream, names.inbox(partition), sequence)
  return true
}
