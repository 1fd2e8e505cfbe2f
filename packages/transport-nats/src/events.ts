// The event logs as one space reads them. Whoever reads on is served by the consumer that served it before.
import type {
  EventLog,
  EventPage,
  EventRetention,
  EventSubscription,
  Position,
  ReadEvents,
  SubscribeOptions,
} from '@tasks/core'
import { takeOrWait } from '@tasks/core/adapter'
import { EventCursor } from './event-cursor'
import { ERROR } from './failure'
import { hasCause } from './jetstream'
import { positionOf } from './position'
import type { Cursors, EventsParts, Progress } from './subscription'
import { Member } from './subscription'

/** A reader that does not come back has gone. */
const IDLE_MS = 30_000

interface Idle {
  readonly cursor: EventCursor
  readonly cancel: () => void
}

export class Events implements EventLog, Cursors {
  readonly retention: EventRetention
  readonly #parts: EventsParts
  /** Cursors that nobody uses now. */
  readonly #idle = new Map<string, Idle>()
  readonly #members = new Set<Member>()
  #turn = 0
  #isClosed = false

  constructor(parts: EventsParts, retention: EventRetention) {
    this.#parts = parts
    this.retention = retention
  }

  async read({ after, max, waitMs, signal }: ReadEvents): Promise<readonly EventPage[]> {
    const { clock, lifetime, partitions } = this.#parts
    lifetime.refuseIfOver()
    const asked = [...after].filter(([partition]) => partition >= 0 && partition < partitions)
    const cursors = asked.map(([partition, position]) => this.take(partition, position))
    // Another partition is the first each time, so that a busy one cannot keep the others waiting.
    const turn = this.#turn++
    const look = async (): Promise<readonly EventPage[] | undefined> => {
      await Promise.all(cursors.map((cursor) => cursor.looked()))
      const pages: EventPage[] = []
      let left = max
      for (let i = 0; i < cursors.length && left > 0; i++) {
        const page = await cursors[(turn + i) % cursors.length]!.page(left)
        if (page === undefined) continue
        pages.push(page)
        left -= page.events.length
      }
      return pages.length > 0 ? pages : undefined
    }
    try {
      return (await takeOrWait(lifetime, clock, look, { waitMs, signals: [signal], listen: listenTo(cursors) })) ?? []
    } finally {
      for (const cursor of cursors) this.giveBack(cursor)
    }
  }

  async positions(since?: number): Promise<readonly Position[]> {
    const { jetstream, lifetime, names, partitions } = this.#parts
    lifetime.refuseIfOver()
    const stream = names.streams.event
    let last: number
    if (since === undefined) last = (await jetstream.streamInfo(stream))?.state.last_seq ?? 0
    else {
      // The server finds the place for a consumer.
      const { name, delivered } = await jetstream.createReader(stream, {
        filter_subject: names.events('*'),
        ack_policy: 'none',
        deliver_policy: 'by_start_time',
        opt_start_time: new Date(Math.ceil(since)).toISOString(),
      })
      jetstream.forgetConsumer(stream, name)
      last = delivered.stream_seq
    }
    const found = last === 0 ? undefined : await jetstream.find(stream, { seq: last })
    const position = positionOf({ sequence: last, ...(found !== undefined && { at: found.at }) })
    return Array.from({ length: partitions }, () => position)
  }

  async subscribe(options: SubscribeOptions): Promise<EventSubscription> {
    const { jetstream, lifetime, names, partitions } = this.#parts
    lifetime.refuseIfOver()
    await Promise.all(
      Array.from({ length: partitions }, async (_, partition) => {
        const from = options.from[partition]
        const first: Progress = from === undefined ? {} : { position: from }
        const subject = names.subscription(options.name, partition)
        try {
          await jetstream.connection.insist(subject, true, () =>
            jetstream.store(subject, Buffer.from(JSON.stringify(first)), 0),
          )
        } catch (error) {
          // It is known, and goes on where it is.
          if (!hasCause(error, ERROR.wrongLastSequence)) throw error
        }
      }),
    )
    const member = new Member(this.#parts, this, options, () => this.#members.delete(member))
    this.#members.add(member)
    return member
  }

  async forget(name: string): Promise<void> {
    const { jetstream, lifetime, names } = this.#parts
    lifetime.refuseIfOver()
    await jetstream.purge(names.streams.state, names.subscription(name, '*'))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const { cursor, cancel } of this.#idle.values()) {
      cancel()
      cursor.close()
    }
    this.#idle.clear()
    await Promise.all([...this.#members].map((member) => member.close()))
  }

  // ---- Cursors

  /** Of somebody who is alone with it until it is given back. */
  take(partition: number, after: Position | undefined): EventCursor {
    const key = keyOf(partition, after)
    const idle = this.#idle.get(key)
    if (idle === undefined) return new EventCursor(this.#parts, partition, after)
    this.#idle.delete(key)
    idle.cancel()
    return idle.cursor
  }

  giveBack(cursor: EventCursor): void {
    const key = keyOf(cursor.partition, cursor.position)
    if (this.#isClosed || this.#idle.has(key)) return cursor.close()
    const leave = (): void => {
      this.#idle.delete(key)
      cursor.close()
    }
    this.#idle.set(key, { cursor, cancel: this.#parts.clock.after(IDLE_MS, leave, { unref: true }) })
  }
}

export function listenTo(cursors: readonly EventCursor[]): (wake: () => void) => () => void {
  return (wake) => {
    const stops = cursors.map((cursor) => cursor.onMore(wake))
    return () => {
      for (const stop of stops) stop()
    }
  }
}

function keyOf(partition: number, position: Position | undefined): string {
  return `${partition} ${position ?? ''}`
}
