// Members of named subscriptions to events. Who holds which page is decided by the log of the subscriptions, as who holds which task is by a queue's.
import type { EventSubscription, HeldPage, SubscribeOptions } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { takeOrWait, TaskError } from '@tasks/core/adapter'
import { BrokerClock } from './broker-clock'
import type { KafkaDriver } from './driver'
import type { Events } from './events'
import { Log } from './log'
import type { SubscriptionSaying } from './subscriptions-state'
import { isHeld, SubscriptionsState } from './subscriptions-state'
import type { Topics } from './topics'
import { UntilPicture } from './until-picture'

export interface SubscriptionsOptions {
  readonly driver: KafkaDriver
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly topics: Topics
  readonly events: Events
  /** Never used before. */
  readonly name: string
}

interface Entry {
  readonly offset: number
  readonly time: number
  readonly saying: SubscriptionSaying
}

/** So many records are about half a megabyte. */
const TRUNCATE_RECORDS = 4_000

interface Token {
  readonly partition: number
  readonly token: string
}

export class Subscriptions {
  readonly #options: SubscriptionsOptions
  #state = new SubscriptionsState()
  readonly #log: Log
  readonly #untilPicture = new UntilPicture<Entry>(({ time, saying }) => this.#state.fold(time, saying))
  readonly #listeners = new Set<() => void>()
  readonly #members = new Set<EventSubscription>()
  readonly #brokerClock: BrokerClock
  #tokens = 0
  #truncating = false

  constructor(options: SubscriptionsOptions) {
    this.#options = options
    this.#brokerClock = new BrokerClock(options.clock)
    this.#log = new Log({
      ...options,
      place: { topic: options.topics.name('subscriptions'), partition: 0 },
      onBegin: (start) => {
        this.#state = new SubscriptionsState()
        this.#untilPicture.begin(start)
      },
      onRecord: ({ offset, time, value }) => {
        if (value === null) return
        this.#brokerClock.heard(time)
        const saying = JSON.parse(value.toString()) as SubscriptionSaying
        const restore = (): void => void (saying.op === 'picture' && this.#state.restore(saying.picture))
        this.#untilPicture.take(
          { offset, time, saying },
          saying.op === 'picture' ? { upTo: saying.upTo, restore } : undefined,
        )
      },
      onChunk: () => {
        for (const wake of this.#listeners) wake()
        void this.#truncate()
      },
      onCaughtUp: () => this.#untilPicture.end(),
    })
  }

  async subscribe({ name, from, leaseMs }: SubscribeOptions): Promise<EventSubscription> {
    this.#options.lifetime.refuseIfOver()
    await this.#say({ op: 'join', name, from: from.map((position) => position ?? null) })
    const member = this.#member(name, leaseMs)
    this.#members.add(member)
    return member
  }

  async forget(name: string): Promise<void> {
    this.#options.lifetime.refuseIfOver()
    await this.#say({ op: 'forget', name })
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#members].map((member) => member.close()))
  }

  stop(): void {
    this.#log.stop()
  }

  #member(name: string, leaseMs: number): EventSubscription {
    const { lifetime, clock, events } = this.#options
    const closing = new AbortController()
    const held = new Map<string, number>()
    let first = 0

    /** Another partition is the first each time, so that a busy one cannot keep the others waiting. */
    const take = async (max: number): Promise<HeldPage | undefined> => {
      const cursors = this.#state.cursors(name)
      const turn = first++
      for (let i = 0; i < cursors.length && !closing.signal.aborted; i++) {
        const partition = (turn + i) % cursors.length
        const cursor = cursors[partition]!
        if (isHeld(cursor, this.#brokerClock.now)) continue
        if ((await events.page(partition, cursor.position, 1)) === undefined) continue
        const token = `${this.#options.name}-${++this.#tokens}`
        await this.#say({ op: 'take', name, partition, token, leaseMs })
        const taken = this.#state.cursors(name)[partition]
        if (taken?.token !== token) continue
        held.set(token, partition)
        const page = await events.page(partition, taken.position, max)
        if (page !== undefined && !closing.signal.aborted)
          return { ...page, token: { partition, token } satisfies Token }
        // Somebody else was there meanwhile.
        held.delete(token)
        await this.#say({ op: 'letGo', name, partition, token })
      }
      return undefined
    }

    const member: EventSubscription = {
      receive: async ({ max, waitMs, signal }) => {
        lifetime.refuseIfOver()
        if (closing.signal.aborted)
          throw new TaskError('TASKS_CLOSED', `this member of subscription "${name}" is closed`)
        return takeOrWait(lifetime, clock, () => take(max), {
          waitMs,
          // A lease that runs out wakes nobody.
          lookMs: leaseMs,
          signals: [signal, closing.signal],
          listen: (wake) => {
            const forget = events.listen(wake)
            this.#listeners.add(wake)
            return () => {
              forget()
              this.#listeners.delete(wake)
            }
          },
        })
      },
      settle: async (page) => {
        lifetime.refuseIfOver()
        const { partition, token } = page.token as Token
        held.delete(token)
        await this.#say({ op: 'settle', name, partition, token, position: page.position })
      },
      extend: async (page) => {
        lifetime.refuseIfOver()
        await this.#say({ op: 'keep', name, ...(page.token as Token), leaseMs })
      },
      close: async () => {
        if (closing.signal.aborted) return
        closing.abort()
        this.#members.delete(member)
        const tokens = [...held].splice(0)
        held.clear()
        await Promise.all(tokens.map(([token, partition]) => this.#say({ op: 'letGo', name, partition, token })))
      },
    }
    return member
  }

  /** Says it, and resolves when it is known here what has become of it. */
  async #say(saying: SubscriptionSaying): Promise<void> {
    await this.#log.started()
    await this.#log.until((await this.#store(saying)) + 1)
  }

  async #store(saying: SubscriptionSaying): Promise<number> {
    const value = Buffer.from(JSON.stringify(saying))
    const [stored] = await this.#options.driver.produce([{ ...this.#log.place, records: [{ key: null, value }] }])
    if (!stored!.ok) throw stored!.error
    return stored!.offset
  }

  /** All that is needed of the log is in a picture of the state. */
  async #truncate(): Promise<void> {
    const upTo = this.#log.next - 1
    if (this.#truncating || this.#untilPicture.isWaiting || upTo - this.#log.start < TRUNCATE_RECORDS) return
    this.#truncating = true
    try {
      // Whoever comes when it is cut must find it before the end.
      await this.#log.until((await this.#store({ op: 'picture', upTo, picture: this.#state.picture() })) + 1)
      await this.#options.driver.truncate(this.#log.place, upTo + 1)
    } catch {
      // Without the right to delete the log only grows.
    } finally {
      this.#truncating = false
    }
  }
}
