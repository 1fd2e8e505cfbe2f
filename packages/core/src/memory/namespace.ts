// What one namespace of a store holds, and the one way into it for sends.
import type { Clock } from '../clock'
import { TaskError } from '../errors'
import type { Bytes, EventRetention, Position, Send, SendOutcome } from '../transport'
import { BlobPages } from './blobs'
import { Letters } from './dead-letters'
import type { Late, MemoryFaults } from './faults'
import { Partition } from './partition'
import { TaskQueue } from './queue'
import { PASSING, Slab } from './slab'

/** A subscriber to replies or broadcasts. */
export type Listener = (body: Bytes) => void

/** A page of a subscription that a member has, and until when. */
export interface Hold {
  readonly cursor: Cursor
  until: number
}

/** How far a subscription has come in one partition, and who holds its next page. */
export interface Cursor {
  position: Position | undefined
  holder: Hold | undefined
}

/** A process that takes its share of the partitions. */
export interface Host {
  aliveUntil: number
  /** Hears that leases may have come free. */
  hear(): void
}

/** What the sends of one call share. */
interface Delivery {
  readonly faults: MemoryFaults
  readonly now: number
  readonly slab: Slab
  readonly woken: Set<{ notify(): void }>
}

const STORED: SendOutcome = { ok: true }
const RETENTION: EventRetention = { maxAgeMs: 7 * 24 * 3_600_000, maxBytes: 4 * 1024 * 1024 }

export class Namespace {
  readonly name: string
  readonly clock: Clock
  readonly priorities: number
  readonly partitions: readonly Partition[]
  readonly letters: Letters
  readonly blobs: BlobPages
  readonly hosts = new Set<Host>()
  readonly replies = new Map<string, Listener>()
  readonly signals = new Set<Listener>()
  /** Named subscriptions to events, by partition. */
  readonly subscriptions = new Map<string, readonly Cursor[]>()
  /** Those who wait for events. */
  readonly readers = new Set<() => void>()
  retention = RETENTION
  readonly #queues = new Map<string, TaskQueue>()
  readonly #readers = { notify: () => this.wakeReaders() }

  constructor(name: string, partitions: number, priorities: number, clock: Clock) {
    this.name = name
    this.clock = clock
    this.priorities = priorities
    this.partitions = Array.from({ length: partitions }, (_, index) => new Partition(index))
    this.letters = new Letters(clock)
    this.blobs = new BlobPages(clock)
  }

  queue(name: string): TaskQueue {
    let queue = this.#queues.get(name)
    if (queue === undefined) {
      queue = new TaskQueue(name, this.priorities, this.clock)
      this.#queues.set(name, queue)
    }
    return queue
  }

  /** Makes sends that were checked. */
  send(sends: readonly Send[], faults: MemoryFaults): readonly SendOutcome[] {
    if (faults.send === undefined) {
      this.deliver(sends, faults)
      return sends.map(() => STORED)
    }
    const made: Send[] = []
    const outcomes = sends.map((send): SendOutcome => {
      const fault = faults.send?.(send)
      if (fault === undefined || fault === 'unanswered') made.push(send)
      if (fault === undefined) return STORED
      return {
        ok: false,
        certain: fault === 'refused',
        error: new TaskError('TASKS_UNAVAILABLE', `send ${send.id}: a fault that was asked for`),
      }
    })
    this.deliver(made, faults)
    return outcomes
  }

  /** Stores sends, and wakes those who wait for them once all are there, so that one wake-up takes many. */
  deliver(sends: readonly Send[], faults: MemoryFaults): void {
    if (sends.length === 0) return
    let total = 0
    for (const { body } of sends) total += body.byteLength
    const delivery: Delivery = {
      faults,
      now: this.clock.monotonic(),
      slab: new Slab(total, PASSING),
      woken: new Set(),
    }
    for (const send of sends) {
      const fault = faults.deliver !== undefined && isStored(send) ? faults.deliver(send) : undefined
      if (fault === 'twice') this.#store(send, delivery)
      // Events never come late: they would come out of order.
      if (typeof fault === 'object' && send.target.to !== 'events') {
        const kept: Send = { ...send, body: new Uint8Array(send.body) }
        this.clock.after(fault.lateMs, () => this.deliver([kept], {}), { unref: true })
      } else this.#store(send, delivery)
    }
    for (const waiting of delivery.woken) waiting.notify()
  }

  wakeReaders(): void {
    for (const look of this.readers) look()
  }

  broadcast(body: Bytes, faults: MemoryFaults): void {
    for (const listener of this.signals) {
      this.#call(() => (this.signals.has(listener) ? listener : undefined), body, faults.signal?.())
    }
  }

  #store(send: Send, { faults, now, slab, woken }: Delivery): void {
    const { target, id, body } = send
    switch (target.to) {
      case 'task': {
        const queue = this.queue(target.queue)
        queue.put(id, slab.copy(body), target.priority ?? 0, now)
        if (queue.waiters.size > 0) woken.add(queue)
        return
      }
      case 'inbox': {
        const partition = this.partitions[target.partition]!
        partition.append(id, slab.copy(body))
        if (partition.session !== undefined) woken.add(partition.session)
        return
      }
      case 'events':
        this.partitions[target.partition]!.events.append(id, new Uint8Array(body), this.clock.now(), this.retention)
        if (this.readers.size > 0) woken.add(this.#readers)
        return
      case 'reply':
        return this.#call(() => this.replies.get(target.address), body, faults.reply?.(send))
      case 'dead':
        return this.letters.add(target.letter, new Uint8Array(body))
    }
  }

  /** In a turn of its own: a listener must not run inside somebody's send, nor after it was closed. */
  #call(find: () => Listener | undefined, body: Bytes, fault: 'lost' | 'twice' | Late | undefined): void {
    if (fault === 'lost') return
    const kept = new Uint8Array(body)
    const call = (): void => find()?.(kept.slice())
    if (typeof fault === 'object') this.clock.after(fault.lateMs, call, { unref: true })
    else queueMicrotask(call)
    if (fault === 'twice') queueMicrotask(call)
  }
}

function isStored({ target }: Send): boolean {
  return target.to === 'task' || target.to === 'inbox' || target.to === 'events'
}
