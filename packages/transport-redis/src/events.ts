// The event logs as one space reads them, alone or as a member of a named subscription.
import type {
  EventLog,
  EventPage,
  EventRetention,
  EventSubscription,
  HeldPage,
  Position,
  ReadEvents,
  StoredEvent,
  SubscribeOptions,
} from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { takeOrWait, TaskError } from '@tasks/core/adapter'
import type { Connection } from './connection'
import type { Keys } from './keys'
import type { Messages } from './messages'
import {
  eventPositions,
  forgetSubscription,
  holdEvents,
  joinSubscription,
  readEvents,
  takeEvents,
} from './scripts/events'

export interface EventsParts {
  readonly connection: Connection
  readonly messages: Messages
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly keys: Keys
  readonly partitions: number
  readonly newName: () => string
}

/** Published wake-ups may be lost: now and then everybody looks all the same. */
const LOOK_MS = 5_000

/** Of the stream: its fields are `i`, the id, and `b`, the body. */
type Entry = readonly [position: Buffer, fields: readonly Buffer[]]

export class Events implements EventLog {
  readonly retention: EventRetention
  readonly #parts: EventsParts
  readonly #members = new Set<Member>()
  readonly #listeners = new Set<() => void>()
  #hearing: Promise<void> | undefined
  #stopListening: () => void = () => {}

  constructor(parts: EventsParts, retention: EventRetention) {
    this.#parts = parts
    this.retention = retention
  }

  async read({ after, max, waitMs, signal }: ReadEvents): Promise<readonly EventPage[]> {
    const { connection, clock, lifetime, keys } = this.#parts
    lifetime.refuseIfOver()
    const partitions = [...after.keys()].filter((partition) => partition >= 0 && partition < this.#parts.partitions)
    const streams = partitions.map((partition) => keys.partition(partition).events)
    const args = [max, ...partitions.map((partition) => after.get(partition) ?? '')]
    const take = async (): Promise<readonly EventPage[] | undefined> => {
      const found = (await connection.run(readEvents, streams, args)) as readonly (readonly [number, number, Entry[]])[]
      if (found.length === 0) return undefined
      return found.map(([place, gap, entries]) => pageOf(partitions[place - 1]!, gap, entries))
    }
    const listen = await this.listening(waitMs)
    return (await takeOrWait(lifetime, clock, take, { waitMs, lookMs: LOOK_MS, signals: [signal], listen })) ?? []
  }

  async positions(since?: number): Promise<readonly Position[]> {
    const { connection, lifetime } = this.#parts
    lifetime.refuseIfOver()
    const keys = [...this.streams(), ...this.#states()]
    const answer = await connection.run(eventPositions, keys, [since === undefined ? '' : Math.ceil(since)])
    return (answer as readonly Buffer[]).map(String)
  }

  async subscribe(options: SubscribeOptions): Promise<EventSubscription> {
    const { connection, lifetime, keys, newName } = this.#parts
    lifetime.refuseIfOver()
    const positions = options.from.map((position) => position ?? '')
    await connection.run(joinSubscription, [keys.subscription(options.name)], [newName(), ...positions])
    const member = new Member(this.#parts, this, options, () => this.#members.delete(member))
    this.#members.add(member)
    return member
  }

  async forget(name: string): Promise<void> {
    const { connection, lifetime, keys } = this.#parts
    lifetime.refuseIfOver()
    const key = keys.subscription(name)
    // Told which one: a call that arrives late does not forget one that has got the name since.
    const id = (await connection.command('hget', key, 'id')) as Buffer | null
    if (id !== null) await connection.run(forgetSubscription, [key], [id])
  }

  async close(): Promise<void> {
    await Promise.all([...this.#members].map((member) => member.close()))
    this.#stopListening()
  }

  streams(): readonly string[] {
    const { keys, partitions } = this.#parts
    return Array.from({ length: partitions }, (_, partition) => keys.partition(partition).events)
  }

  #states(): readonly string[] {
    const { keys, partitions } = this.#parts
    return Array.from({ length: partitions }, (_, partition) => keys.partition(partition).state)
  }

  /** For whoever may wait: from now on it hears of every event. */
  async listening(waitMs: number): Promise<(wake: () => void) => () => void> {
    if (waitMs > 0) await (this.#hearing ??= this.#hear())
    return (wake) => {
      const listener = (): void => wake()
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    }
  }

  async #hear(): Promise<void> {
    const { messages, keys } = this.#parts
    const wakeAll = (): void => {
      for (const wake of this.#listeners) wake()
    }
    const subscription = messages.subscribe(keys.events, wakeAll)
    const forget = messages.onGap(keys.events, wakeAll)
    this.#stopListening = () => {
      forget()
      subscription.stop()
    }
    // Until then everybody looks now and then.
    await subscription.ready.catch(() => {})
  }
}

interface Token {
  readonly partition: number
  readonly holder: string
}

class Member implements EventSubscription {
  readonly #parts: EventsParts
  readonly #events: Events
  readonly #name: string
  readonly #key: string
  readonly #leaseMs: number
  readonly #held = new Set<Token>()
  readonly #closing = new AbortController()
  readonly #onClose: () => void
  #turn = 0

  constructor(parts: EventsParts, events: Events, { name, leaseMs }: SubscribeOptions, onClose: () => void) {
    this.#parts = parts
    this.#events = events
    this.#name = name
    this.#key = parts.keys.subscription(name)
    this.#leaseMs = Math.ceil(leaseMs)
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
    const { connection, clock, lifetime, partitions, newName } = this.#parts
    lifetime.refuseIfOver()
    if (this.#closing.signal.aborted)
      throw new TaskError('TASKS_CLOSED', `this member of subscription "${this.#name}" is closed`)
    const holder = newName()
    // Another partition is the first each time, so that a busy one cannot keep the others waiting.
    const first = this.#turn++ % partitions
    const take = async (): Promise<HeldPage | undefined> => {
      const keys = [this.#key, ...this.#events.streams()]
      const answer = await connection.run(takeEvents, keys, [holder, this.#leaseMs, max, first])
      if (answer === null) return undefined
      const [partition, gap, entries] = answer as readonly [number, number, Entry[]]
      const token: Token = { partition, holder }
      if (this.#closing.signal.aborted) {
        await this.#hold('release', token, '')
        return undefined
      }
      this.#held.add(token)
      return { ...pageOf(partition, gap, entries), token }
    }
    const listen = await this.#events.listening(waitMs)
    const lookMs = Math.min(LOOK_MS, this.#leaseMs)
    return takeOrWait(lifetime, clock, take, { waitMs, lookMs, signals: [signal, this.#closing.signal], listen })
  }

  async settle({ token, position }: HeldPage): Promise<void> {
    this.#parts.lifetime.refuseIfOver()
    await this.#hold('settle', token as Token, position)
    this.#held.delete(token as Token)
  }

  async extend({ token }: HeldPage): Promise<void> {
    this.#parts.lifetime.refuseIfOver()
    await this.#hold('extend', token as Token, this.#leaseMs)
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#onClose()
    // A server that does not answer: the leases run out.
    await Promise.allSettled([...this.#held].map((token) => this.#hold('release', token, '')))
  }

  async #hold(op: string, { partition, holder }: Token, argument: string | number): Promise<void> {
    const { connection, keys } = this.#parts
    await connection.run(holdEvents, [this.#key], [op, partition, holder, argument, keys.events])
  }
}

function pageOf(partition: number, gap: number, entries: readonly Entry[]): EventPage {
  const events = entries.map(([position, fields]): StoredEvent => ({
    position: position.toString(),
    id: fields[1]!.toString(),
    body: fields[3]!,
  }))
  return { partition, gap: gap === 1, events, position: events.at(-1)!.position }
}
