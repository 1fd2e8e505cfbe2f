// One task queue. A message is in exactly one place: in a level (never handed out, or given back before anything happened to it), among
// the suspects (its lease ran out), delayed, or held. Nothing here runs per message and second: leases of one receive share an entry of
// `#grants`, looked at when somebody receives, or by the one timer that a queue has while somebody waits for it.
import type { Clock } from '../clock'
import type { Bytes, Lease } from '../transport'
import { Deque } from './deque'
import { Heap } from '../adapter/heap'
import { PASSING, Slab } from './slab'

/** Somebody who waits for messages of one or several queues. */
export interface QueueWaiter {
  /** Takes what there is, if it is of use. */
  offer(): void
}

interface Message {
  readonly id: string
  readonly body: Bytes
  readonly level: number
  readonly storedAt: number
  deliveries: number
  /** The last one it was handed to: kept when the lease runs out, until somebody else gets it. */
  hold: Hold | undefined
  /** Whether it is in its level for the second time, so that it may be older than those before it. */
  returned: boolean
}

/** The leases that one receive took from one queue. */
interface Grant {
  readonly dueAt: number
  holds: Hold[]
  open: number
}

/** The token of a lease. */
export class Hold {
  readonly queue: TaskQueue
  readonly leaseMs: number
  message: Message | undefined
  grant: Grant
  dueAt: number

  constructor(queue: TaskQueue, message: Message, grant: Grant, leaseMs: number) {
    this.queue = queue
    this.message = message
    this.grant = grant
    this.leaseMs = leaseMs
    this.dueAt = grant.dueAt
  }
}

export class TaskQueue {
  readonly name: string
  readonly waiters = new Set<QueueWaiter>()
  readonly #clock: Clock
  readonly #levels: readonly Deque<Message>[]
  readonly #returnedIn: number[]
  #ready = 0
  readonly #suspects = new Set<Message>()
  readonly #delayed = new Heap<{ readonly dueAt: number; readonly message: Message }>()
  readonly #grants = new Heap<Grant>()
  /** Grants that may still be in the heap although all of them was settled. */
  #spent = 0
  #timerAt = Infinity
  #cancelTimer: () => void = () => {}

  constructor(name: string, levels: number, clock: Clock) {
    this.name = name
    this.#clock = clock
    this.#levels = Array.from({ length: levels }, () => new Deque<Message>())
    this.#returnedIn = this.#levels.map(() => 0)
  }

  /** `body` is kept as it is: the caller has copied it. */
  put(id: string, body: Bytes, priority: number, storedAt: number): void {
    const level = priority >= 1 ? Math.min(Math.trunc(priority), this.#levels.length - 1) : 0
    this.#enter({ id, body, level, storedAt, deliveries: 0, hold: undefined, returned: false })
  }

  // ---- Handing out

  /** To be called before the `take`s of one receive. */
  refresh(): void {
    if (this.#delayed.size === 0 && this.#grants.size === 0) return
    const now = this.#clock.monotonic()
    for (let next = this.#delayed.peek(); next !== undefined && next.dueAt <= now; next = this.#delayed.peek()) {
      this.#delayed.pop()
      this.#enter(next.message)
    }
    for (
      let next = this.#grants.peek();
      next !== undefined && (next.open === 0 || next.dueAt <= now);
      next = this.#grants.peek()
    ) {
      this.#grants.pop()
      if (next.open > 0) this.#expire(next, now)
      else this.#spent--
    }
    // Behind one task that takes long, thousands of others come and go.
    if (this.#spent > 1000 && this.#spent > this.#grants.size / 2) {
      this.#grants.keep((grant) => grant.open > 0)
      this.#spent = 0
    }
  }

  takeSuspect(leaseMs: number): Lease | undefined {
    for (const message of this.#suspects) {
      this.#suspects.delete(message)
      return this.#hand(message, this.#grant(1, leaseMs), leaseMs, new Slab(message.body.byteLength, PASSING))
    }
    return undefined
  }

  /** Moves up to `max` messages of one level into `batch`. */
  take(level: number, max: number, leaseMs: number, batch: Lease[]): void {
    const messages = this.#levels[level]!
    const count = Math.min(max, messages.size)
    if (count === 0) return
    const grant = this.#grant(count, leaseMs)
    let total = 0
    for (let i = 0; i < count; i++) total += messages.at(i)!.body.byteLength
    const slab = new Slab(total, PASSING)
    for (let i = 0; i < count; i++) {
      const message = messages.shift()!
      if (message.returned) {
        message.returned = false
        this.#returnedIn[level]!--
      }
      batch.push(this.#hand(message, grant, leaseMs, slab))
    }
    this.#ready -= count
  }

  get ready(): number {
    return this.#ready
  }

  // ---- What a holder says. All of it is ignored if somebody else has the message by now, or it was settled.

  extend(hold: Hold): void {
    const message = hold.message
    if (message === undefined) return
    hold.dueAt = this.#clock.monotonic() + hold.leaseMs
    if (!this.#suspects.delete(message)) return
    hold.grant = { dueAt: hold.dueAt, holds: [hold], open: 1 }
    this.#grants.push(hold.grant)
  }

  /** Takes the message out, for good. */
  remove(hold: Hold): Message | undefined {
    const message = hold.message
    if (message === undefined) return undefined
    this.#letGo(message, hold)
    this.#suspects.delete(message)
    return message
  }

  giveBack(hold: Hold, delayMs: number): void {
    const message = this.remove(hold)
    if (message === undefined) return
    message.deliveries--
    if (delayMs > 0) this.#delayed.push({ dueAt: this.#clock.monotonic() + delayMs, message })
    else this.#enter(message)
  }

  // ---- Waiting

  /** Something came in or is due. */
  notify(): void {
    for (const waiter of this.waiters) {
      if (this.#ready === 0 && this.#suspects.size === 0) break
      waiter.offer()
    }
    this.arm()
  }

  /** Sees to it that those who wait hear of what becomes due. */
  arm(): void {
    if (this.waiters.size === 0) return
    const dueAt = Math.min(this.#delayed.peek()?.dueAt ?? Infinity, this.#grants.peek()?.dueAt ?? Infinity)
    if (dueAt >= this.#timerAt) return
    this.#cancelTimer()
    this.#timerAt = dueAt
    const ring = (): void => {
      this.#timerAt = Infinity
      this.refresh()
      this.notify()
    }
    this.#cancelTimer = this.#clock.after(Math.max(0, dueAt - this.#clock.monotonic()), ring, { unref: true })
  }

  oldestStoredAt(): number | undefined {
    this.refresh()
    let oldest = Infinity
    this.#levels.forEach((messages, level) => {
      // Without returned messages the first is the oldest.
      const count = this.#returnedIn[level]! > 0 ? messages.size : Math.min(1, messages.size)
      for (let i = 0; i < count; i++) oldest = Math.min(oldest, messages.at(i)!.storedAt)
    })
    for (const message of this.#suspects) oldest = Math.min(oldest, message.storedAt)
    for (const { message } of this.#delayed.values()) oldest = Math.min(oldest, message.storedAt)
    return oldest === Infinity ? undefined : oldest
  }

  // ---- Places

  #enter(message: Message): void {
    // Still counted after it was given back: its lease ran out once, so it stays a suspect.
    if (message.deliveries > 0) {
      this.#suspects.add(message)
      return
    }
    if (message.hold !== undefined) {
      message.hold = undefined
      message.returned = true
      this.#returnedIn[message.level]!++
    }
    this.#levels[message.level]!.push(message)
    this.#ready++
  }

  #grant(count: number, leaseMs: number): Grant {
    const grant: Grant = { dueAt: this.#clock.monotonic() + leaseMs, holds: [], open: count }
    this.#grants.push(grant)
    return grant
  }

  #hand(message: Message, grant: Grant, leaseMs: number, slab: Slab): Lease {
    const previous = message.hold
    if (previous !== undefined) this.#letGo(message, previous)
    const hold = new Hold(this, message, grant, leaseMs)
    message.hold = hold
    message.deliveries++
    grant.holds.push(hold)
    return {
      id: message.id,
      queue: this.name,
      body: slab.copy(message.body),
      deliveries: message.deliveries,
      token: hold,
    }
  }

  #letGo(message: Message, hold: Hold): void {
    if (hold.message !== message) return
    hold.message = undefined
    const { grant } = hold
    // A settled grant stays in the heap for a while; what it held must not.
    if (--grant.open > 0) return
    grant.holds = []
    this.#spent++
  }

  #expire(grant: Grant, now: number): void {
    const extended: Hold[] = []
    let dueAt = Infinity
    for (const hold of grant.holds) {
      if (hold.message === undefined) continue
      if (hold.dueAt <= now) this.#suspects.add(hold.message)
      else {
        extended.push(hold)
        dueAt = Math.min(dueAt, hold.dueAt)
      }
    }
    if (extended.length === 0) return
    const renewed: Grant = { dueAt, holds: extended, open: extended.length }
    for (const hold of extended) hold.grant = renewed
    this.#grants.push(renewed)
  }
}
