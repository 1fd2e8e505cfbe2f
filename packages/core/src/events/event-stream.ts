// A subscription to the events of a namespace, as its client reads it: page by page as they are asked for, so that whoever is slow holds up nobody, and is
// told by an item of its own when retention was quicker.
//
// V1. Every event that passes the filter and is kept long enough is told at least once, in the order of its partition; a repeat that memory knows is dropped.
// V2. What retention dropped, and may have passed the filter, is a gap in the stream, never silence.
// V3. Of a named subscription a page counts as handled when the batch after its last one is asked for.
// V4. From a position everything is told that came after its item. Of a named subscription's, whose other members are not known here, more may be.
import { AsyncLocalStorage } from 'node:async_hooks'
import { sleep, type Clock } from '../clock'
import { TaskError } from '../errors'
import type { Codec } from '../codec'
import type { Logger } from '../logger'
import type { EventPage, EventSubscription, HeldPage, Space } from '../transport'
import { eventsOf, type CloudEvent } from './cloud-event'
import { placesOf, positionText, type Place, type Places } from './event-position'
import { SENT_EVENT } from './event-filter'
import type { SentEventData } from './pipeline-event'
import { SeenEvents } from './seen-events'

export type EventItem<Event extends CloudEvent = CloudEvent> = EventSeen<Event> | EventGap

export interface EventSeen<Event extends CloudEvent = CloudEvent> {
  readonly kind: 'event'
  readonly event: Event
  /** Give it as `from` to go on after this event, in this process or another. That of a named subscription tells some again, `event.id` says which. */
  readonly position: string
}

/** Events were dropped before this subscription could read them. */
export interface EventGap {
  readonly kind: 'gap'
  readonly partition: number
  readonly position: string
}

/** Everything from now on; everything that is kept; what came after a position, or since a time. */
export type EventsFrom = 'new' | 'beginning' | (string & {}) | Date

export interface EventStream extends AsyncIterable<EventItem> {
  /** The same items, as many at a time as there are. */
  batches(): AsyncIterable<readonly EventItem[]>
  /** Ends the iteration. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface EventStreamOptions {
  readonly space: Space
  readonly clock: Clock
  readonly logger: Logger
  readonly codec: Codec
  readonly partitions: readonly number[]
  readonly isWanted: (event: CloudEvent) => boolean
  readonly from: EventsFrom
  readonly name: string | undefined
  readonly leaseMs: number
  readonly mostInBatch: number
  /** Goes on with what comes; else it ends with what is there. */
  readonly follow: boolean
  readonly signal: AbortSignal | undefined
}

/** Records of the log in one page: each holds up to 64 KiB of events. */
const PAGE = 64
const WAIT_MS = 30_000
const RETRY_MS = 1_000
const MOST_RETRY_MS = 30_000

/** Whose handler runs. */
const handling = new AsyncLocalStorage<SubscribedStream>()

export async function openEventStream(options: EventStreamOptions): Promise<SubscribedStream> {
  const { space, name, leaseMs, partitions, from } = options
  const places = await startOf(space, from, partitions)
  if (name === undefined) return new SubscribedStream(options, places, undefined)
  const positions = Array.from({ length: space.partitions }, (_, partition) => places.get(partition)?.after)
  const member = await space.events.subscribe({ name, from: positions, leaseMs })
  // One that exists goes on where it is, which nobody knows before a page of it comes.
  const unknown = new Map(partitions.map((partition) => [partition, { after: undefined, skip: 0 }]))
  return new SubscribedStream(options, unknown, member)
}

async function startOf(space: Space, from: EventsFrom, partitions: readonly number[]): Promise<Places> {
  const at = (positions: readonly (string | undefined)[]): Places =>
    new Map(partitions.map((partition) => [partition, { after: positions[partition], skip: 0 }]))
  if (from === 'beginning') return at([])
  if (from === 'new') return at(await space.events.positions())
  if (typeof from === 'string') return placesOf(from, partitions)
  return at(await space.events.positions(from.getTime()))
}

export class SubscribedStream implements EventStream {
  readonly #options: EventStreamOptions
  readonly #member: EventSubscription | undefined
  readonly #closing = new AbortController()
  readonly #signal: AbortSignal
  readonly #seen = new SeenEvents()
  #places: Places

  constructor(options: EventStreamOptions, places: Places, member: EventSubscription | undefined) {
    this.#options = options
    this.#places = places
    this.#member = member
    const { signal } = options
    this.#signal = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal])
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<EventItem> {
    for await (const batch of this.batches()) yield* batch
  }

  async *batches(): AsyncGenerator<readonly EventItem[]> {
    try {
      if (this.#member === undefined) yield* this.#ownPages()
      else yield* this.#sharedPages(this.#member)
    } finally {
      await this.close()
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    // A transport that is closed has let go of it.
    await this.#member?.close().catch(() => undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Whether it is this stream's handler that asks. */
  get isHandling(): boolean {
    return handling.getStore() === this
  }

  /** Hands batches to `handler`, one after the other. Of a named subscription one that fails is tried again; else it ends the stream. */
  async each(handler: (batch: readonly EventItem[]) => unknown): Promise<void> {
    const { clock, logger, name } = this.#options
    for await (const batch of this.batches()) {
      for (let failures = 0; !this.#signal.aborted; failures++) {
        try {
          await handling.run(this, handler, batch)
          break
        } catch (error) {
          if (name === undefined) {
            logger.error({ error }, 'a handler of events failed, which ends its subscription')
            throw error
          }
          logger.error({ subscription: name, error }, 'a handler of events failed, and is tried again')
          await sleep(clock, Math.min(MOST_RETRY_MS, RETRY_MS * 2 ** failures), this.#signal)
        }
      }
    }
  }

  // ---- Reading ------------------------------------------------------------------------------------------------------

  async *#ownPages(): AsyncGenerator<readonly EventItem[]> {
    const { space, follow } = this.#options
    const waitMs = follow ? WAIT_MS : 0
    for (let turn = 0; !this.#signal.aborted; turn++) {
      // Another partition is the first each time: a busy one does not keep the others waiting.
      const places = [...this.#places]
      const first = turn % places.length
      const inTurn = [...places.slice(first), ...places.slice(0, first)]
      const after = new Map(inTurn.map(([partition, place]) => [partition, place.after]))
      const read = { after, max: PAGE, waitMs, signal: this.#signal }
      const pages = (await this.#trying(() => space.events.read(read))) ?? []
      for (const page of pages) yield* this.#told(page)
      if (!follow && pages.length === 0) return
    }
  }

  async *#sharedPages(member: EventSubscription): AsyncGenerator<readonly EventItem[]> {
    const receive = { max: PAGE, waitMs: WAIT_MS, signal: this.#signal }
    while (!this.#signal.aborted) {
      const page = await this.#trying(() => member.receive(receive))
      if (page === undefined) continue
      const letGo = this.#hold(member, page)
      try {
        yield* this.#told(page)
        // A batch is handled when the next one is asked for: this is where that happens.
        if (!this.#signal.aborted) await this.#trying(() => member.settle(page))
      } finally {
        letGo()
      }
    }
  }

  /** Keeps a page while it is being handled. Returns how to stop. */
  #hold(member: EventSubscription, page: HeldPage): () => void {
    const { clock, leaseMs } = this.#options
    let cancel = (): void => undefined
    const extend = (): void => {
      // Whether it was too late is seen when the page is settled.
      member.extend(page).catch(() => undefined)
      cancel = clock.after(leaseMs / 3, extend, { unref: true })
    }
    cancel = clock.after(leaseMs / 3, extend, { unref: true })
    return () => cancel()
  }

  /** What the transport cannot do now it is asked for again. */
  async #trying<T>(call: () => Promise<T>): Promise<T | undefined> {
    const { clock, logger } = this.#options
    while (!this.#signal.aborted) {
      try {
        return await call()
      } catch (error) {
        if (this.#signal.aborted) break
        if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE') throw error
        logger.warn({ error }, 'events cannot be read now')
        await sleep(clock, RETRY_MS, this.#signal)
      }
    }
    return undefined
  }

  /** An event that somebody has sent shows its value. */
  #opened(event: CloudEvent): CloudEvent {
    if (event.type !== SENT_EVENT) return event
    const data = event.data as SentEventData
    try {
      const value = data.value === null ? undefined : this.#options.codec.decode(Buffer.from(data.value, 'base64'))
      return { ...event, data: { ...data, value } }
    } catch (error) {
      this.#options.logger.warn({ event: event.id, error }, 'the value of an event cannot be decoded')
      return event
    }
  }

  // ---- Telling ------------------------------------------------------------------------------------------------------

  *#told(page: EventPage): Generator<readonly EventItem[]> {
    const { isWanted, mostInBatch } = this.#options
    const { partition } = page
    let batch: EventItem[] = []
    let place = this.#places.get(partition)!
    const moveTo = (to: Place): (() => string) => {
      place = to
      const before = this.#places
      return () => positionText(new Map(before).set(partition, to))
    }
    // Of a named subscription's page it is not known what it comes after: nothing can be counted from there.
    let isBehindKnown = this.#member === undefined
    if (page.gap) batch.push(itemAt({ kind: 'gap', partition }, moveTo({ ...place, skip: 0 })))
    for (const record of page.events) {
      const events = eventsOf(record.body)
      // Those that were told before the position that this one began with.
      const told = page.gap ? 0 : place.skip
      for (let index = told; index < events.length; index++) {
        const event = events[index]!
        const isLast = index === events.length - 1
        const within = { after: place.after, skip: isBehindKnown ? index + 1 : 0 }
        const next: Place = isLast ? { after: record.position, skip: 0 } : within
        if (!isWanted(event) || !this.#seen.see(event)) continue
        batch.push(itemAt({ kind: 'event', event: this.#opened(event) }, moveTo(next)))
        if (batch.length < mostInBatch) continue
        yield batch
        if (this.#signal.aborted) return
        batch = []
      }
      moveTo({ after: record.position, skip: 0 })
      isBehindKnown = true
    }
    this.#places = new Map(this.#places).set(partition, { after: page.position, skip: 0 })
    if (batch.length > 0) yield batch
  }
}

/** Most positions are never asked for, and each is a text of some length. */
function itemAt<Item extends object>(item: Item, position: () => string): Item & { readonly position: string } {
  return Object.defineProperty(item, 'position', { enumerable: true, get: position }) as Item & {
    readonly position: string
  }
}
