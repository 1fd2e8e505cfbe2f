// The event logs as one space reads them, alone or as a member of a named subscription: a cursor row for each partition says how far the
// subscription has come, and who holds the next page.
import type {
  EventLog,
  EventPage,
  EventRetention,
  EventSubscription,
  HeldPage,
  Position,
  ReadEvents,
  SubscribeOptions,
} from '@tasks/core'
import type { Lifetime } from '@tasks/core/adapter'
import { TaskError, takeOrWait } from '@tasks/core/adapter'
import { endOf, placeBefore, readPage } from './event-log'
import type { Write } from './group-commit'
import type { Namespace } from './namespace'
import type { Store } from './store'

export class Events implements EventLog {
  readonly retention: EventRetention
  readonly #store: Store
  readonly #lifetime: Lifetime
  readonly #namespace: Namespace
  readonly #members = new Set<Member>()

  constructor(store: Store, lifetime: Lifetime, namespace: Namespace, retention: EventRetention) {
    this.#store = store
    this.#lifetime = lifetime
    this.#namespace = namespace
    this.retention = retention
  }

  async read({ after, max, waitMs, signal }: ReadEvents): Promise<readonly EventPage[]> {
    this.#lifetime.refuseIfOver()
    const { group, clock, waiting } = this.#store
    const take = (): readonly EventPage[] | undefined => {
      const pages: EventPage[] = []
      let left = max
      for (const [partition, position] of after) {
        if (left <= 0) break
        const page = readPage(group, partition, this.#namespace.slot(partition), position, left)
        if (page === undefined) continue
        pages.push(page)
        left -= page.events.length
      }
      return pages.length > 0 ? pages : undefined
    }
    const listen = (wake: () => void): (() => void) => waiting.forEvents(this.#namespace.id, wake)
    return (await takeOrWait(this.#lifetime, clock, take, { waitMs, signals: [signal], listen })) ?? []
  }

  async positions(since?: number): Promise<readonly Position[]> {
    this.#lifetime.refuseIfOver()
    const { group } = this.#store
    return Array.from({ length: this.#namespace.partitions }, (_, partition) => {
      const slot = this.#namespace.slot(partition)
      return String(since === undefined ? endOf(group, slot) : placeBefore(group, slot, since))
    })
  }

  async subscribe(options: SubscribeOptions): Promise<EventSubscription> {
    this.#lifetime.refuseIfOver()
    const { id } = this.#namespace
    await this.#store.group.write((write) => {
      options.from.forEach((position, partition) =>
        write.run(
          'INSERT INTO cursor VALUES (?, ?, ?, ?, NULL, 0) ON CONFLICT DO NOTHING',
          id,
          options.name,
          partition,
          Number(position ?? BEGINNING),
        ),
      )
    })
    const member = new Member(this.#store, this.#lifetime, this.#namespace, options, () => this.#members.delete(member))
    this.#members.add(member)
    return member
  }

  async forget(name: string): Promise<void> {
    this.#lifetime.refuseIfOver()
    await this.#store.group.write((write) =>
      write.run('DELETE FROM cursor WHERE namespace = ? AND name = ?', this.#namespace.id, name),
    )
  }

  async close(): Promise<void> {
    await Promise.all([...this.#members].map((member) => member.close()))
  }
}

/** The position of a subscription that begins at whatever is kept. */
const BEGINNING = -1

/** What a held page is known by: a number that nobody had before. */
type Token = number

class Member implements EventSubscription {
  readonly #store: Store
  readonly #lifetime: Lifetime
  readonly #namespace: Namespace
  readonly #name: string
  readonly #leaseMs: number
  readonly #held = new Set<Token>()
  readonly #closing = new AbortController()
  readonly #onClose: () => void
  #turn = 0

  constructor(
    store: Store,
    lifetime: Lifetime,
    namespace: Namespace,
    { name, leaseMs }: SubscribeOptions,
    onClose: () => void,
  ) {
    this.#store = store
    this.#lifetime = lifetime
    this.#namespace = namespace
    this.#name = name
    this.#leaseMs = leaseMs
    this.#onClose = onClose
  }

  async receive({
    max,
    waitMs,
    signal,
  }: {
    max: number
    waitMs: number
    signal?: AbortSignal
  }): Promise<HeldPage | undefined> {
    this.#lifetime.refuseIfOver()
    if (this.#closing.signal.aborted)
      throw new TaskError('TASKS_CLOSED', `this member of subscription "${this.#name}" is closed`)
    const { group, clock, waiting } = this.#store
    // Another partition is the first each time, so that a busy one cannot keep the others waiting.
    const turn = this.#turn++
    const values = [
      this.#namespace.id,
      this.#name,
      this.#namespace.slot(0),
      turn % this.#namespace.partitions,
      this.#namespace.partitions,
    ]
    const take = async (): Promise<HeldPage | undefined> => {
      if (group.get(FREE, ...values, clock.now()) === undefined) return undefined
      return group.note((write) => {
        const free = write.get(FREE, ...values, clock.now())
        return free && !this.#closing.signal.aborted
          ? this.#hold(write, free['partition'] as number, free['position'] as number, max)
          : undefined
      })
    }
    const listen = (wake: () => void): (() => void) => waiting.forEvents(this.#namespace.id, wake)
    const signals = [signal, this.#closing.signal]
    // A lease that runs out wakes nobody.
    return takeOrWait(this.#lifetime, clock, take, { waitMs, lookMs: this.#leaseMs, signals, listen })
  }

  async settle({ token, position }: HeldPage): Promise<void> {
    this.#lifetime.refuseIfOver()
    this.#held.delete(token as Token)
    await this.#store.group.note((write) => {
      if (write.run(SETTLE, Number(position), this.#namespace.id, this.#name, token as Token) > 0)
        write.changed.events.add(this.#namespace.id)
    })
  }

  async extend({ token }: HeldPage): Promise<void> {
    this.#lifetime.refuseIfOver()
    const { group, clock } = this.#store
    const expires = Math.ceil(clock.now() + this.#leaseMs)
    await group.note((write) => write.run(EXTEND, expires, this.#namespace.id, this.#name, token as Token))
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#onClose()
    if (this.#held.size === 0) return
    const tokens = JSON.stringify([...this.#held])
    await this.#store.group.note((write) => {
      write.run(LET_GO, this.#namespace.id, this.#name, tokens)
      write.changed.events.add(this.#namespace.id)
    })
  }

  #hold(write: Write, partition: number, position: number, max: number): HeldPage {
    const token: Token = write.draw(1)
    const expires = Math.ceil(this.#store.clock.now() + this.#leaseMs)
    write.run(HOLD, token, expires, this.#namespace.id, this.#name, partition)
    write.after(() => this.#held.add(token))
    const after = position === BEGINNING ? undefined : String(position)
    return { ...readPage(write, partition, this.#namespace.slot(partition), after, max)!, token }
  }
}

const FREE = `
SELECT c.partition, c.position FROM cursor c
WHERE c.namespace = ?1 AND c.name = ?2 AND (c.holder IS NULL OR c.expires < ?6)
  AND EXISTS (SELECT 1 FROM event WHERE slot = ?3 + c.partition AND seq > c.position)
ORDER BY (c.partition + ?5 - ?4) % ?5 LIMIT 1`
const HOLD = 'UPDATE cursor SET holder = ?, expires = ? WHERE namespace = ? AND name = ? AND partition = ?'
const SETTLE = 'UPDATE cursor SET position = ?, holder = NULL WHERE namespace = ? AND name = ? AND holder = ?'
const EXTEND = 'UPDATE cursor SET expires = ? WHERE namespace = ? AND name = ? AND holder = ?'
const LET_GO = `
UPDATE cursor SET holder = NULL WHERE namespace = ? AND name = ? AND holder IN (SELECT value FROM json_each(?))`
