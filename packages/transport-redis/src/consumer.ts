// Receiving tasks and settling them.
//
// Q1. A receive names its batch before it asks: asked again after a lost answer, or told by a sender while it waits, it gets the same batch, and no other.
// Q2. A token names a message by batch and offset (scripts/shared.ts). Whether it still holds it is for the server to say.
import { setMaxListeners } from 'node:events'
import type { ConsumeOptions, Lease, ReceiveOptions, Send, Settlement, TaskConsumer } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { Argument } from './call'
import { BRIEFLY, type Connection, type RunOptions } from './connection'
import { decodeFrame, frameLength } from './frame'
import type { Keys, QueueKeys } from './keys'
import type { Mailbox, Waiter } from './mailbox'
import type { Outbox } from './outbox'
import { Parts } from './outbox'
import { extend } from './scripts/extend'
import { receive } from './scripts/receive'
import { settle } from './scripts/settle'

export interface ConsumerParts {
  readonly connection: Connection
  readonly direct: Connection
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly keys: Keys
  readonly mailbox: Mailbox
  readonly outbox: Outbox
  /** Throws if one of the sends may not be made. */
  readonly check: (sends: readonly Send[]) => void
  /** A name for a batch or a waiter, never used twice. */
  readonly newName: () => string
}

/** What one receive got from one queue. */
interface Batch {
  readonly queue: QueueKeys
  readonly name: string
  /** How many messages it began with. */
  readonly count: number
}

interface Token {
  batch: Batch
  offset: number
}

interface Wish {
  readonly batch: string
  readonly max: number
  readonly suspects: boolean
  /** Its name at the queues, if it is to wait there. */
  readonly waiter: string
  /** The batch may be there already. */
  readonly again: boolean
}

interface Found {
  readonly leases: readonly Lease[]
  /** When there may be something, in ms. */
  readonly dueMs: number
}

export class Consumer implements TaskConsumer {
  readonly #parts: ConsumerParts
  readonly #queues: readonly QueueKeys[]
  readonly #leaseMs: number
  readonly #closing = new AbortController()
  /** Names of receives that are over: of one at a time each, so that what a queue remembers of them stays bounded. */
  readonly #waiterNames: string[] = []
  #turn = 0

  constructor(parts: ConsumerParts, { queues, leaseMs }: ConsumeOptions) {
    if (!(leaseMs > 0)) throw new TaskError('TASKS_OPTIONS', `leaseMs must be a number above 0, not ${leaseMs}`)
    this.#parts = parts
    this.#queues = [...new Set(queues)].map((name) => parts.keys.queue(name))
    this.#leaseMs = Math.ceil(leaseMs)
    // One for each receive that waits; Node 20 warns of more than ten.
    setMaxListeners(0, this.#closing.signal)
  }

  async receive({ max, waitMs, suspects, signal }: ReceiveOptions): Promise<readonly Lease[]> {
    const { clock, lifetime } = this.#parts
    lifetime.refuseIfOver()
    if (this.#closing.signal.aborted) throw new TaskError('TASKS_CLOSED', 'the consumer is closed')
    const stopped = (): boolean => this.#closing.signal.aborted || signal?.aborted === true
    if (max <= 0 || stopped() || this.#queues.length === 0) return []
    const until = clock.monotonic() + waitMs
    const batch = this.#parts.newName()
    if (waitMs <= 0)
      return this.#unlessStopped(await this.#ask({ batch, max, suspects, waiter: '', again: false }), stopped)

    const waiter = this.#waiterNames.pop() ?? this.#parts.newName()
    const handed = new Handed(batch)
    this.#parts.mailbox.waiters.set(waiter, handed)
    let waits = false
    try {
      for (;;) {
        const left = until - clock.monotonic()
        const last = left <= 0 || stopped()
        handed.looked()
        // Nobody waits for it any more: what it has been handed is given back.
        const how = stopped() ? BRIEFLY : {}
        const found = await this.#ask({ batch, max: last ? 0 : max, suspects, waiter, again: waits }, how)
        waits = found.leases.length === 0 && !last
        if (!waits) return await this.#unlessStopped(found, stopped)
        // Others may take something at any time, and die: what they hold comes back within a lease.
        const ms = Math.min(left, found.dueMs, this.#leaseMs)
        await lifetime.wait(ms, [signal, this.#closing.signal], (wake) => handed.onChange(wake))
        if (handed.value === undefined) continue
        waits = false
        return await this.#unlessStopped(
          { leases: this.#leasesOf(handed.queueOf(this.#queues), batch, handed.value), dueMs: 0 },
          stopped,
        )
      }
    } finally {
      this.#parts.mailbox.waiters.delete(waiter)
      this.#waiterNames.push(waiter)
    }
  }

  async settle(settlements: readonly Settlement[], sends: readonly Send[]): Promise<void> {
    const { direct, lifetime, outbox, check, newName } = this.#parts
    lifetime.refuseIfOver()
    check(sends)
    if (settlements.length === 0 && sends.length === 0) return
    const batches = byBatch(settlements, ({ lease }) => lease)
    const parts = new Parts(outbox.commonKeys, [batches.size])
    for (const [{ queue, name, count }, members] of batches) {
      parts.args.push(parts.place(queue.all), name, count)
      if (members.length === count && isEachAcknowledged(members)) {
        parts.args.push(ALL, 0)
        continue
      }
      let acks = ''
      const others: Argument[] = []
      for (const settlement of members) {
        const offset = digits((settlement.lease.token as Token).offset)
        if (settlement.op === 'ack') acks += offset
        else if (settlement.op === 'return')
          others.push('return', offset, Math.max(0, Math.ceil(settlement.delayMs)), newName())
        else others.push('dead', offset, JSON.stringify(settlement.letter), '')
      }
      parts.args.push(acks, others.length / 4, ...others)
    }
    outbox.write(parts, sends)
    await direct.run(settle, parts.keys, parts.args)
  }

  async extend(leases: readonly Lease[]): Promise<void> {
    const { connection, lifetime, newName } = this.#parts
    lifetime.refuseIfOver()
    if (leases.length === 0) return
    const parts = new Parts([], [this.#leaseMs])
    const batches = [...byBatch(leases, (lease) => lease)].map(([batch, members]) => {
      const names = members.map(newName)
      parts.args.push(parts.place(batch.queue.all), batch.name, batch.count, members.length)
      members.forEach(({ token }, i) => parts.args.push(digits((token as Token).offset), names[i]!))
      return { batch, members, names }
    })
    const split = (await connection.run(extend, parts.keys, parts.args)) as readonly number[]
    batches.forEach(({ batch, members, names }, b) => {
      if (split[b] !== 1) return
      members.forEach(({ token }, i) =>
        Object.assign(token as Token, {
          batch: { queue: batch.queue, name: names[i]!, count: 1 },
          offset: HEADER_BYTES,
        } satisfies Token),
      )
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
  }

  // ---- Asking

  async #ask({ batch, max, suspects, waiter, again }: Wish, how: RunOptions = {}): Promise<Found> {
    const { connection, keys, mailbox } = this.#parts
    const first = this.#turn++ % this.#queues.length
    const queues = [...this.#queues.slice(first), ...this.#queues.slice(0, first)]
    const allKeys = [keys.waiting, ...queues.flatMap((queue) => queue.all)]
    const args = (isAgain: boolean): Argument[] => [
      batch,
      max,
      this.#leaseMs,
      suspects ? 1 : 0,
      waiter,
      mailbox.channel,
      isAgain ? 1 : 0,
    ]
    const tried = { ...how, again: args(true) }
    const [due, ...given] = (await connection.run(receive, allKeys, args(again), tried)) as [
      number,
      ...(number | Buffer)[],
    ]
    const leases: Lease[] = []
    for (let i = 0; i < given.length; i += 2)
      leases.push(...this.#leasesOf(queues[given[i] as number]!, batch, given[i + 1] as Buffer))
    return { leases, dueMs: due < 0 ? Infinity : due + 1 }
  }

  #leasesOf(queue: QueueKeys, name: string, value: Buffer): Lease[] {
    const offsets: number[] = []
    for (let offset = HEADER_BYTES; offset < value.length; offset += frameLength(value, offset)) offsets.push(offset)
    const batch: Batch = { queue, name, count: offsets.length }
    const deliveries = value[0]!
    return offsets.map((offset) => {
      const { id, body } = decodeFrame(value, offset)
      return { id, queue: queue.name, body, deliveries, token: { batch, offset } satisfies Token }
    })
  }

  /** Whoever has cancelled has no hands left to take what came. */
  async #unlessStopped({ leases }: Found, stopped: () => boolean): Promise<readonly Lease[]> {
    if (leases.length === 0 || !stopped()) return leases
    // If this fails, the lease runs out.
    await this.settle(
      leases.map((lease) => ({ lease, op: 'return', delayMs: 0 })),
      [],
    ).catch(() => {})
    return []
  }
}

/** Of a batch's value: the count of deliveries. */
const HEADER_BYTES = 1
/** In place of offsets: the whole batch is acknowledged. */
const ALL = '*'

function isEachAcknowledged(settlements: readonly Settlement[]): boolean {
  const offsets = new Set<number>()
  for (const { op, lease } of settlements) if (op === 'ack') offsets.add((lease.token as Token).offset)
  return offsets.size === settlements.length
}

function digits(offset: number): string {
  return String(offset).padStart(8, '0')
}

/** What a waiting receive was told since it last asked. */
class Handed implements Waiter {
  readonly #batch: string
  #readyKey = ''
  value: Buffer | undefined
  #isToLook = false
  #wake: (() => void) | undefined

  constructor(batch: string) {
    this.#batch = batch
  }

  take(batch: string, readyKey: string, value: Buffer): void {
    // Of an earlier receive, which has asked for it since.
    if (batch !== this.#batch) return
    this.#readyKey = readyKey
    this.value = value
    this.#wake?.()
  }

  queueOf(queues: readonly QueueKeys[]): QueueKeys {
    return queues.find(({ all }) => all[0] === this.#readyKey)!
  }

  look(): void {
    this.#isToLook = true
    this.#wake?.()
  }

  looked(): void {
    this.#isToLook = false
  }

  onChange(wake: () => void): () => void {
    this.#wake = wake
    // Told before the answer to the question was here.
    if (this.#isToLook || this.value !== undefined) queueMicrotask(() => this.#wake?.())
    return () => (this.#wake = undefined)
  }
}

function byBatch<T>(items: readonly T[], leaseOf: (item: T) => Lease): Map<Batch, T[]> {
  const batches = new Map<Batch, T[]>()
  for (const item of items) {
    const { batch } = leaseOf(item).token as Token
    const known = batches.get(batch)
    if (known === undefined) batches.set(batch, [item])
    else known.push(item)
  }
  return batches
}
