// A member of a named subscription. How far the subscription has come in a partition, and who holds the next page, is one message of the state stream, which is replaced only by whoever
// knows the last one.
import type { EventSubscription, HeldPage, Position, SubscribeOptions } from '@tasks/core'
import { takeOrWait, TaskError } from '@tasks/core/adapter'
import type { CursorParts, EventCursor } from './event-cursor'
import { ERROR, isRefusal } from './failure'
import type { ServerClock } from './server-clock'

export interface EventsParts extends CursorParts {
  readonly serverClock: ServerClock
  readonly partitions: number
}

/** What reads the logs. */
export interface Cursors {
  /** Of somebody who is alone with it until it is given back. */
  take(partition: number, after: Position | undefined): EventCursor
  giveBack(cursor: EventCursor): void
}

/** Of one partition. */
export interface Progress {
  readonly position?: Position
  readonly holder?: string
  /** Of the holder, from when this was stored. */
  readonly leaseMs?: number
}

interface Token {
  readonly partition: number
  readonly before: Position | undefined
  /** Of the message that says that this member holds it. */
  sequence: number
}

interface Free {
  readonly cursor: EventCursor
  readonly sequence: number
}

/** Wake-ups may be lost: now and then everybody looks all the same. */
const LOOK_MS = 5_000

export class Member implements EventSubscription {
  readonly #parts: EventsParts
  readonly #cursors: Cursors
  readonly #name: string
  readonly #leaseMs: number
  readonly #self: string
  readonly #held = new Set<Token>()
  readonly #closing = new AbortController()
  readonly #onClose: () => void
  #turn = 0

  constructor(parts: EventsParts, cursors: Cursors, { name, leaseMs }: SubscribeOptions, onClose: () => void) {
    this.#parts = parts
    this.#cursors = cursors
    this.#name = name
    this.#leaseMs = Math.ceil(leaseMs)
    this.#self = parts.clock.uid()
    this.#onClose = onClose
  }

  async receive({
    max,
    waitMs,
    signal,
  }: {
    readonly max: number
    readonly waitMs: number
    readonly signal?: AbortSignal
  }): Promise<HeldPage | undefined> {
    const { jetstream, clock, lifetime, names } = this.#parts
    lifetime.refuseIfOver()
    if (this.#closing.signal.aborted)
      throw new TaskError('TASKS_CLOSED', `this member of subscription "${this.#name}" is closed`)
    const waking = new Set<() => void>()
    const wakeAll = (): void => {
      for (const wake of waking) wake()
    }
    // Somebody has settled a page, or let go of one; an event has come.
    const subscriptions = [names.subscription(this.#name, '*'), names.events('*')].map((subject) =>
      jetstream.connection.subscribe(subject, wakeAll),
    )
    try {
      return await takeOrWait(lifetime, clock, () => this.#take(max), {
        waitMs,
        lookMs: Math.min(LOOK_MS, this.#leaseMs),
        signals: [signal, this.#closing.signal],
        listen(wake) {
          waking.add(wake)
          return () => waking.delete(wake)
        },
      })
    } finally {
      for (const { stop } of subscriptions) stop()
    }
  }

  async settle({ token, position }: HeldPage): Promise<void> {
    this.#parts.lifetime.refuseIfOver()
    await this.#replace(token as Token, { position })
    this.#held.delete(token as Token)
  }

  async extend({ token }: HeldPage): Promise<void> {
    this.#parts.lifetime.refuseIfOver()
    const held = token as Token
    if (this.#held.has(held)) await this.#replace(held, this.#hold(held.before))
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#onClose()
    // A server that does not answer: the leases run out.
    await Promise.allSettled([...this.#held].map((token) => this.#replace(token, progressOf(token.before))))
  }

  /** The next page of a partition that nobody holds. */
  async #take(max: number): Promise<HeldPage | undefined> {
    const free = await this.#free()
    // Another partition is the first each time, so that a busy one cannot keep the others waiting.
    const turn = this.#turn++
    try {
      for (let i = 0; i < free.length; i++) {
        const { cursor, sequence } = free[(turn + i) % free.length]!
        if (!cursor.hasMore) continue
        const before = cursor.position
        const token: Token = { partition: cursor.partition, before, sequence }
        if (!(await this.#replace(token, this.#hold(before)))) continue
        const page = await cursor.page(max)
        if (page === undefined || this.#closing.signal.aborted) {
          await this.#replace(token, progressOf(before))
          return undefined
        }
        this.#held.add(token)
        return { ...page, token }
      }
      return undefined
    } finally {
      for (const { cursor } of free) this.#cursors.giveBack(cursor)
    }
  }

  async #free(): Promise<Free[]> {
    const { jetstream, serverClock, names, partitions } = this.#parts
    const now = await serverClock.now()
    const found = await Promise.all(
      Array.from({ length: partitions }, (_, partition) =>
        jetstream.find(names.streams.state, { last_by_subj: names.subscription(this.#name, partition) }),
      ),
    )
    const free = found.flatMap((stored, partition): Free[] => {
      // It was forgotten.
      if (stored === undefined) return []
      const { position, holder, leaseMs = 0 } = JSON.parse(Buffer.from(stored.data).toString()) as Progress
      if (holder !== undefined && stored.at + leaseMs > now) return []
      return [{ cursor: this.#cursors.take(partition, position), sequence: stored.sequence }]
    })
    await Promise.all(free.map(({ cursor }) => cursor.looked()))
    return free
  }

  #hold(position: Position | undefined): Progress {
    return { ...progressOf(position), holder: this.#self, leaseMs: this.#leaseMs }
  }

  /** False if somebody else has it. */
  async #replace(token: Token, next: Progress): Promise<boolean> {
    const { jetstream, names } = this.#parts
    const subject = names.subscription(this.#name, token.partition)
    const data = Buffer.from(JSON.stringify(next))
    try {
      token.sequence = await jetstream.connection.insist(subject, false, () =>
        jetstream.store(subject, data, token.sequence),
      )
      return true
    } catch (error) {
      if (TaskError.is(error) && isRefusal(error.cause, ERROR.wrongLastSequence)) return false
      throw error
    }
  }
}

function progressOf(position: Position | undefined): Progress {
  return position === undefined ? {} : { position }
}
