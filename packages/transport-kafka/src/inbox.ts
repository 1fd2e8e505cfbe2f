// The messages of a partition, as its owner polls them.
import type { InboxMessage, Position } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { Chunk, KafkaDriver, Place } from './driver'
import { decodeFrames } from './frame'

/** A message: its record, and its place in it. */
export interface InboxPlace {
  readonly offset: number
  readonly index: number
}

export interface InboxOptions {
  readonly driver: KafkaDriver
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly place: Place
  /** Absent: from the start. */
  readonly after: InboxPlace | undefined
  readonly lost: AbortSignal
}

/** Messages that are read and not polled yet, at most, about: beyond that it reads on when they have been. */
const MOST_AHEAD = 20_000
const TRUNCATE_EVERY_MS = 5_000

export class Inbox {
  readonly #options: InboxOptions
  #ready: InboxMessage[] = []
  #from = 0
  #next: number
  #stop: (() => void) | undefined
  #wake: (() => void) | undefined
  #polling = false
  #ended = false
  #truncatedAt = -Infinity
  #truncated = 0

  constructor(options: InboxOptions) {
    this.#options = options
    this.#next = options.after?.offset ?? 0
  }

  async poll({
    max,
    waitMs,
    signal,
  }: {
    readonly max: number
    readonly waitMs: number
    readonly signal?: AbortSignal
  }): Promise<readonly InboxMessage[]> {
    if (this.#polling) throw new TaskError('TASKS_ARGUMENTS', 'a session has one poll at a time')
    this.#polling = true
    const { clock, lifetime, lost } = this.#options
    const until = clock.monotonic() + waitMs
    try {
      for (;;) {
        if (signal?.aborted || lost.aborted) return []
        if (this.#size > 0) return this.#take(max)
        this.#follow()
        const left = until - clock.monotonic()
        if (left <= 0) return []
        await lifetime.wait(left, [signal, lost], (wake) => {
          this.#wake = wake
          return () => (this.#wake = undefined)
        })
      }
    } finally {
      this.#polling = false
    }
  }

  /** Lets go of what was consumed, now and then. */
  consumed({ offset }: InboxPlace): void {
    const { clock, driver, place } = this.#options
    if (offset <= this.#truncated || clock.monotonic() - this.#truncatedAt < TRUNCATE_EVERY_MS) return
    this.#truncatedAt = clock.monotonic()
    this.#truncated = offset
    // Without the right to delete the topic only grows.
    driver.truncate(place, offset).catch(() => {})
  }

  end(): void {
    this.#ended = true
    this.#stop?.()
  }

  get #size(): number {
    return this.#ready.length - this.#from
  }

  #follow(): void {
    if (this.#stop !== undefined || this.#ended) return
    const { driver, place } = this.#options
    this.#stop = driver.follow(place, this.#next, (chunk) => this.#add(chunk))
  }

  #add({ records, next }: Chunk): void {
    const { after } = this.#options
    this.#next = next
    for (const { offset, value } of records) {
      if (value === null) continue
      messagesOf(value).forEach(({ id, body }, index) => {
        if (after !== undefined && (offset < after.offset || (offset === after.offset && index <= after.index))) return
        this.#ready.push({ position: positionOf({ offset, index }), id, body })
      })
    }
    if (this.#size > MOST_AHEAD) {
      this.#stop?.()
      this.#stop = undefined
    }
    if (this.#size > 0) this.#wake?.()
  }

  #take(max: number): readonly InboxMessage[] {
    const taken = this.#ready.slice(this.#from, this.#from + max)
    this.#from += taken.length
    if (this.#from === this.#ready.length) {
      this.#ready = []
      this.#from = 0
      this.#follow()
    }
    return taken
  }
}

/** What nobody can read is a message all the same: its owner makes a dead letter of it. */
function messagesOf(value: Buffer): readonly Pick<InboxMessage, 'id' | 'body'>[] {
  try {
    return decodeFrames(value)
  } catch {
    return [{ id: '', body: value }]
  }
}

function positionOf({ offset, index }: InboxPlace): Position {
  return `${offset}.${index}`
}

export function placeOfPosition(position: Position): InboxPlace {
  const [offset, index] = position.split('.').map(Number)
  if (!Number.isInteger(offset) || !Number.isInteger(index))
    throw new TaskError('TASKS_ARGUMENTS', `"${position}" is no position of an inbox`)
  return { offset: offset!, index: index! }
}

export function isBefore(a: InboxPlace, b: InboxPlace | undefined): boolean {
  return b !== undefined && (a.offset < b.offset || (a.offset === b.offset && a.index < b.index))
}
