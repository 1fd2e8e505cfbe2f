// Receiving tasks and settling them.
//
// Q1. A receive names its batch before it asks: told by a sender while it waits, or asked again after a lost answer, it gets what it was given, and no other. Each try has
//     a name of its own, and knows those before it: a try that arrives late makes a batch that is nobody's, and touches none that was handed out.
// Q2. A token names a message by batch and offset (scripts/shared.ts). Whether it still holds it is for the server to say.
// Q3. An extension may move a message while it is being settled, or nobody may know whether it has: then it is settled in both places, of which one is right.
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
import { receive, stopWaiting } from './scripts/receive'
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

interface Place {
  readonly batch: Batch
  readonly offset: number
}

interface Token {
  place: Place
  /** Where an extension may have moved it. */
  moved: Place | undefined
  isSettling: boolean
}

/** Where a receive waits. Kept when it is over, for the next: so what a queue remembers of them stays bounded. */
interface Seat {
  readonly waiter: string
  /** What may have been handed out to it. */
  batches: string[]
}

interface Wish {
  readonly max: number
  readonly suspects: boolean
  readonly waits: boolean
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
  /** Of receives that are over. */
  readonly #seats: Seat[] = []
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
    const seat = this.#seats.pop() ?? { waiter: this.#parts.newName(), batches: [] }
    const handed = new Handed(seat)
    this.#parts.mailbox.waiters.set(seat.waiter, handed)
    try {
      for (let waits = false; ;) {
        const left = until - clock.monotonic()
        const isLast = left <= 0 || stopped()
        handed.looked()
        const found =
          waits && isLast
            ? // Nobody waits for it any more: what it has been handed is given back.
              await this.#stop(seat, stopped() ? BRIEFLY : {})
            : await this.#ask(seat, { max, suspects, waits: !isLast })
        if (found.leases.length > 0 || isLast) return await this.#handOut(found.leases, max, stopped)
        waits = true
        // Others may take something at any time, and die: what they hold comes back within a lease.
        const ms = Math.min(left, found.dueMs, this.#leaseMs)
        await lifetime.wait(ms, [signal, this.#closing.signal], (wake) => handed.onChange(wake))
        if (handed.batch === undefined) continue
        const { readyKey, name, value } = handed.batch
        seat.batches = []
        const queue = this.#queues.find(({ all }) => all[0] === readyKey)!
        return await this.#handOut(this.#leasesOf(queue, name, value), max, stopped)
      }
    } finally {
      this.#parts.mailbox.waiters.delete(seat.waiter)
      // After an error the server may know this receive still, and have something for it: the next one gets that.
      seat.batches = seat.batches.slice(-MOST_SOUGHT)
      this.#seats.push(seat)
    }
  }

  async settle(settlements: readonly Settlement[], sends: readonly Send[]): Promise<void> {
    const { direct, lifetime, outbox, check, newName } = this.#parts
    lifetime.refuseIfOver()
    check(sends)
    if (settlements.length === 0 && sends.length === 0) return
    const batches = byBatch(settlements, ({ lease }) => placesOf(lease))
    const parts = new Parts(outbox.commonKeys, [batches.size])
    for (const [{ queue, name, count }, members] of batches) {
      parts.args.push(parts.place(queue.all), name, count)
      if (members.length === count && isEachAcknowledged(members)) {
        parts.args.push(ALL, 0)
        continue
      }
      let acks = ''
      const others: Argument[] = []
      for (const { item: settlement, offset: at } of members) {
        const offset = digits(at)
        if (settlement.op === 'ack') acks += offset
        else if (settlement.op === 'return')
          others.push('return', offset, Math.max(0, Math.ceil(settlement.delayMs)), newName())
        else others.push('dead', offset, JSON.stringify(settlement.letter), '')
      }
      parts.args.push(acks, others.length / 4, ...others)
    }
    outbox.write(parts, sends)
    const tokens = settlements.map(({ lease }) => tokenOf(lease))
    for (const token of tokens) token.isSettling = true
    try {
      await direct.run(settle, parts.keys, parts.args)
    } finally {
      for (const token of tokens) token.isSettling = false
    }
  }

  async extend(leases: readonly Lease[]): Promise<void> {
    const { connection, lifetime, newName } = this.#parts
    lifetime.refuseIfOver()
    if (leases.length === 0) return
    const parts = new Parts([], [this.#leaseMs])
    const asked: Token[][] = []
    for (const [batch, items] of byBatch(leases, (lease) => [tokenOf(lease).place])) {
      // What is being settled is not to be moved away from under it.
      const members = items.map(({ item }) => tokenOf(item)).filter(({ isSettling }) => !isSettling)
      parts.args.push(parts.place(batch.queue.all), batch.name, batch.count, items.length, members.length)
      for (const token of members) {
        if (batch.count > 1) token.moved ??= alone(batch.queue, newName())
        parts.args.push(digits(token.place.offset), token.moved?.batch.name ?? '')
      }
      asked.push(members)
    }
    let triesInDoubt = 0
    const answer = (await connection.run(extend, parts.keys, (inDoubt) => {
      triesInDoubt = inDoubt
      return parts.args
    })) as readonly (number | readonly number[])[]
    asked.forEach((members, b) =>
      members.forEach((token, i) => {
        const found = answer[b]!
        const where = typeof found === 'number' ? found : found[i]
        if (where === MOVED && token.moved !== undefined) {
          token.place = token.moved
          token.moved = undefined
        } else if (where === STAYED && triesInDoubt === 0) token.moved = undefined
      }),
    )
  }

  async close(): Promise<void> {
    this.#closing.abort()
  }

  // ---- Asking

  async #ask(seat: Seat, { max, suspects, waits }: Wish): Promise<Found> {
    const { connection, mailbox, newName } = this.#parts
    const queues = this.#queuesInTurn()
    const earlier = seat.batches
    const names: string[] = []
    const answer = await connection.run(receive, this.#keysOf(queues), (inDoubt) => {
      // A try that certainly had no effect leaves its name to the next.
      const batch = (names[inDoubt] ??= newName())
      seat.batches = [...earlier, ...names]
      return [
        batch,
        max,
        this.#leaseMs,
        suspects ? 1 : 0,
        seat.waiter,
        waits ? 1 : 0,
        mailbox.channel,
        ...earlier,
        ...names.slice(0, inDoubt),
      ]
    })
    const found = this.#found(answer as Answer, [...names.slice(-1), ...earlier, ...names.slice(0, -1)], queues)
    seat.batches = waits && found.leases.length === 0 ? names.slice(-1) : []
    return found
  }

  /** Takes what was handed over until now; from then on nothing is. */
  async #stop(seat: Seat, how: RunOptions): Promise<Found> {
    const args = [seat.waiter, this.#leaseMs, ...seat.batches]
    const answer = await this.#parts.connection.run(stopWaiting, this.#keysOf(this.#queues), args, how)
    const found = this.#found(answer as Answer, ['', ...seat.batches], this.#queues)
    seat.batches = []
    return found
  }

  /** Which queue is the first turns with every call. */
  #queuesInTurn(): readonly QueueKeys[] {
    const first = this.#turn++ % this.#queues.length
    return [...this.#queues.slice(first), ...this.#queues.slice(0, first)]
  }

  #keysOf(queues: readonly QueueKeys[]): readonly string[] {
    return [this.#parts.keys.waiting, ...queues.flatMap((queue) => queue.all)]
  }

  #found([due, which, ...given]: Answer, names: readonly string[], queues: readonly QueueKeys[]): Found {
    const leases: Lease[] = []
    for (let i = 0; i < given.length; i += 2)
      leases.push(...this.#leasesOf(queues[given[i] as number]!, names[which]!, given[i + 1] as Buffer))
    return { leases, dueMs: due < 0 ? Infinity : due + 1 }
  }

  #leasesOf(queue: QueueKeys, name: string, value: Buffer): Lease[] {
    const offsets: number[] = []
    for (let offset = HEADER_BYTES; offset < value.length; offset += frameLength(value, offset)) offsets.push(offset)
    const batch: Batch = { queue, name, count: offsets.length }
    const deliveries = value[0]!
    return offsets.map((offset) => {
      const { id, body } = decodeFrame(value, offset)
      const token: Token = { place: { batch, offset }, moved: undefined, isSettling: false }
      return { id, queue: queue.name, body, deliveries, token }
    })
  }

  /** Whoever has cancelled has no hands left to take what came; and what an earlier receive was given may be more than this one asked for. */
  async #handOut(leases: readonly Lease[], max: number, stopped: () => boolean): Promise<readonly Lease[]> {
    const taken = stopped() ? 0 : max
    if (leases.length <= taken) return leases
    // If this fails, the leases run out.
    await this.settle(
      leases.slice(taken).map((lease) => ({ lease, op: 'return', delayMs: 0 })),
      [],
    ).catch(() => {})
    return leases.slice(0, taken)
  }
}

/** What the scripts of a receive answer with. */
type Answer = readonly [due: number, which: number, ...given: (number | Buffer)[]]

/** How many batches a receive that failed leaves to the next to look for. */
const MOST_SOUGHT = 16
/** What `extend` says of a lease. */
const STAYED = 1
const MOVED = 2
/** Of a batch's value: the count of deliveries. */
const HEADER_BYTES = 1
/** In place of offsets: the whole batch is acknowledged. */
const ALL = '*'

function isEachAcknowledged(members: readonly Member<Settlement>[]): boolean {
  const offsets = new Set<number>()
  for (const { item, offset } of members) if (item.op === 'ack') offsets.add(offset)
  return offsets.size === members.length
}

function tokenOf({ token }: Lease): Token {
  return token as Token
}

/** Where a message may be: it is in one of them. */
function placesOf(lease: Lease): readonly Place[] {
  const { place, moved } = tokenOf(lease)
  return moved === undefined ? [place] : [place, moved]
}

/** In a batch of its own. */
function alone(queue: QueueKeys, name: string): Place {
  return { batch: { queue, name, count: 1 }, offset: HEADER_BYTES }
}

function digits(offset: number): string {
  return String(offset).padStart(8, '0')
}

/** What a waiting receive was told since it last asked. */
class Handed implements Waiter {
  readonly #seat: Seat
  batch: { readonly name: string; readonly readyKey: string; readonly value: Buffer } | undefined
  #isToLook = false
  #wake: (() => void) | undefined

  constructor(seat: Seat) {
    this.#seat = seat
  }

  take(name: string, readyKey: string, value: Buffer): void {
    // Of an earlier receive, which has asked for it since.
    if (!this.#seat.batches.includes(name)) return
    this.batch = { name, readyKey, value }
    this.#wake?.()
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
    if (this.#isToLook || this.batch !== undefined) queueMicrotask(() => this.#wake?.())
    return () => (this.#wake = undefined)
  }
}

interface Member<T> {
  readonly item: T
  readonly offset: number
}

function byBatch<T>(items: readonly T[], placesOfItem: (item: T) => readonly Place[]): Map<Batch, Member<T>[]> {
  const batches = new Map<Batch, Member<T>[]>()
  for (const item of items) {
    for (const { batch, offset } of placesOfItem(item)) {
      const known = batches.get(batch)
      if (known === undefined) batches.set(batch, [{ item, offset }])
      else known.push({ item, offset })
    }
  }
  return batches
}
