// Receiving and settling tasks. A message that is handed out is one of the server's that this process holds. One that comes a second time has run out: it becomes a
// message of its own among the suspects, so that a settlement that comes too late finds nothing to settle, and so that those who want no suspects get none.
import type { ConsumeOptions, Lease, ReceiveOptions, Send, Settlement, TaskConsumer } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { Msg } from '@nats-io/transport-node'
import { setMaxListeners } from 'node:events'
import { ERROR, isRefusal, unavailable } from './failure'
import type { Frame } from './frame'
import { decodeFrames, encodeFrame } from './frame'
import type { JetStream } from './jetstream'
import { deliveryOf, hasCause, NANOS } from './jetstream'
import type { Level, Names } from './names'
import { LEVELS } from './names'
import type { Outbox } from './outbox'
import { encodeLetter } from './outbox'
import type { Source } from './pulls'
import { Pulls } from './pulls'

export interface ConsumerParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly names: Names
  readonly outbox: Outbox
  /** Throws if one of the sends may not be made. */
  readonly check: (sends: readonly Send[]) => void
}

/** One level of one queue. */
interface Shelf extends Source {
  readonly queue: string
  readonly level: Level
  /** Received, and not handed out yet. */
  readonly stock: Held[]
  /** For how long the server leaves a message with whoever has it, if nothing else is said. */
  ackWaitMs: number | undefined
}

/** What this process holds of the server, until it is settled or the time is over. */
interface Held {
  readonly shelf: Shelf
  readonly frame: Frame
  /** In the stream. */
  readonly sequence: number
  /** The subject that settles it. */
  readonly reply: string
  /** By the clock of this process. */
  until: number
  isSettled: boolean
}

const ACK = Buffer.from('+ACK')
const WORKING = Buffer.from('+WPI')
/** What has come although nobody receives is given back after this time. */
const IDLE_MS = 50
const RETRY_MS = 50
/** What was asked for is answered by then, or comes later. */
const LOOK_MS = 2_000
/** What the server says of a request may be lost. */
const ASK_AGAIN_MS = 3_000
const MAX_WAITING = 2_048

export class Consumer implements TaskConsumer {
  readonly #parts: ConsumerParts
  readonly #leaseMs: number
  readonly #shelves: readonly Shelf[]
  readonly #pulls: Pulls<Shelf>
  readonly #closing = new AbortController()
  readonly #waiting = new Set<() => void>()
  readonly #stopListening: () => void
  #receiving = 0
  /** How many of them take suspects. */
  #receivingSuspects = 0
  #turn = 0
  #cancelIdle: () => void = () => {}

  constructor(parts: ConsumerParts, { queues, leaseMs }: ConsumeOptions) {
    if (!(leaseMs > 0)) throw new TaskError('TASKS_OPTIONS', `leaseMs must be a number above 0, not ${leaseMs}`)
    this.#parts = parts
    this.#leaseMs = Math.ceil(leaseMs)
    const { names, jetstream } = parts
    this.#shelves = [...new Set(queues)].flatMap((queue) =>
      LEVELS.map((level) => {
        const { subject, consumer } = names.queue(queue, level)
        return { queue, level, subject, consumer, stream: names.streams.queue, stock: [], ackWaitMs: undefined }
      }),
    )
    this.#pulls = new Pulls<Shelf>({
      jetstream,
      clock: parts.clock,
      sources: this.#shelves,
      onMessage: (shelf, message) => this.#take(shelf, message),
      onChange: () => this.#wakeAll(),
      onMissing: (shelf) => (shelf.ackWaitMs = undefined),
    })
    this.#stopListening = jetstream.connection.onGap(() => {
      this.#pulls.forget()
      this.#wakeAll()
    })
    // One for each receive that waits; Node 20 warns of more than ten.
    setMaxListeners(0, this.#closing.signal)
  }

  async receive({ max, waitMs, suspects, signal }: ReceiveOptions): Promise<readonly Lease[]> {
    const { clock, lifetime } = this.#parts
    lifetime.refuseIfOver()
    if (this.#closing.signal.aborted) throw new TaskError('TASKS_CLOSED', 'the consumer is closed')
    const stopped = (): boolean => this.#closing.signal.aborted || signal?.aborted === true
    if (max <= 0 || stopped() || this.#shelves.length === 0) return []
    const until = clock.monotonic() + waitMs
    this.#receiving++
    if (suspects) this.#receivingSuspects++
    this.#cancelIdle()
    try {
      if (!suspects) await this.#refuseSuspects()
      await this.#look(max, suspects)
      for (;;) {
        lifetime.refuseIfOver()
        const batch = stopped() ? [] : this.#handOut(max, suspects)
        const left = until - clock.monotonic()
        if (batch.length > 0 || left <= 0 || stopped()) return batch
        await this.#wait(max, suspects, left, signal)
      }
    } finally {
      this.#receiving--
      if (suspects) this.#receivingSuspects--
      this.#restSoon()
    }
  }

  async settle(settlements: readonly Settlement[], sends: readonly Send[]): Promise<void> {
    const { jetstream, clock, lifetime, names, outbox, check } = this.#parts
    lifetime.refuseIfOver()
    check(sends)
    const now = clock.monotonic()
    const due = settlements.filter(({ lease, op }) => {
      const { isSettled, until } = lease.token as Held
      // One that has run out comes back by itself, or has gone to somebody else.
      return !isSettled && (op === 'ack' || until > now)
    })
    await Promise.all([
      outbox.sendAll(sends),
      ...due.map(async (settlement) => {
        if (settlement.op === 'ack') return
        const { shelf, sequence } = settlement.lease.token as Held
        // As the server has it: whoever was given it may have changed its bytes. If it is gone, others have settled it.
        const stored = await jetstream.find(shelf.stream, { seq: sequence })
        const [frame] = stored === undefined ? [] : decodeFrames(stored.data)
        if (frame === undefined) return
        if (settlement.op === 'return') return this.#putBack(shelf, frame, settlement.delayMs)
        const letter = encodeLetter(settlement.letter, frame.body)
        await jetstream.connection.insist(names.dead, true, () => jetstream.store(names.dead, letter))
      }),
    ])
    await this.#acknowledge(due.map(({ lease }) => lease.token as Held))
  }

  async extend(leases: readonly Lease[]): Promise<void> {
    const { clock, lifetime } = this.#parts
    lifetime.refuseIfOver()
    const now = clock.monotonic()
    for (const { token } of leases) {
      const held = token as Held
      if (held.isSettled || held.until <= now) continue
      if (this.#hold(held, WORKING)) held.until = now + this.#leaseMs
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#stopListening()
    this.#cancelIdle()
    this.#wakeAll()
    await this.#pulls.stop()
    await this.#rest()
  }

  // ---- Looking and waiting

  /** What is there now. The highest level is always asked, so that nothing of a lower one is handed out before it. */
  async #look(max: number, suspects: boolean): Promise<void> {
    await this.#ensure()
    const wanted: Promise<void>[] = []
    const perQueue = Math.ceil(max / (this.#shelves.length / LEVELS.length))
    // One suspect at most, of another queue each time.
    const suspectsTurn = this.#turn++ % (this.#shelves.length / LEVELS.length)
    let stock = 0
    for (const { stock: one } of this.#shelves) stock += one.length
    this.#shelves.forEach((shelf, i) => {
      if (shelf.level === 'suspect') {
        if (suspects && Math.floor(i / LEVELS.length) === suspectsTurn && shelf.stock.length === 0)
          wanted.push(this.#ask(shelf, 1, 0))
      } else if (shelf.level > 0 || stock < max) wanted.push(this.#ask(shelf, perQueue, 0))
    })
    await this.#within(Promise.all(wanted))
  }

  async #ask(shelf: Shelf, batch: number, waitMs: number): Promise<void> {
    // It waits already: there is nothing there, or it would have come.
    if (waitMs === 0 && this.#pulls.isAsking(shelf)) return
    await this.#pulls.ask(shelf, batch, waitMs)
  }

  /** Until something comes. */
  async #wait(max: number, suspects: boolean, ms: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#ensure()
    const { jetstream, lifetime } = this.#parts
    const perQueue = Math.ceil(max / (this.#shelves.length / LEVELS.length))
    if (jetstream.connection.isConnected) {
      for (const shelf of this.#shelves) {
        if (shelf.level === 'suspect' && !suspects) continue
        if (!this.#pulls.isAsking(shelf)) void this.#pulls.ask(shelf, shelf.level === 'suspect' ? 1 : perQueue, ms)
      }
    }
    // A consumer that is not there says so at once, again and again.
    const isMissing = this.#shelves.some(({ ackWaitMs }) => ackWaitMs === undefined)
    await lifetime.wait(Math.min(ms, isMissing ? RETRY_MS : ASK_AGAIN_MS), [signal, this.#closing.signal], (wake) => {
      this.#waiting.add(wake)
      return () => this.#waiting.delete(wake)
    })
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake()
  }

  /** Whoever has a hand free receives again at once; if nobody does, what has come is for others. */
  #restSoon(): void {
    if (this.#receiving > 0 || this.#closing.signal.aborted) return
    this.#cancelIdle()
    this.#cancelIdle = this.#parts.clock.after(IDLE_MS, () => void (this.#receiving === 0 && this.#rest()), {
      unref: true,
    })
  }

  async #rest(): Promise<void> {
    await Promise.all(this.#shelves.map((shelf) => this.#giveBack(shelf)))
  }

  /** A suspect that was asked for by an earlier receive is for somebody else. */
  async #refuseSuspects(): Promise<void> {
    if (this.#receivingSuspects > 0) return
    await Promise.all(this.#shelves.filter(({ level }) => level === 'suspect').map((shelf) => this.#giveBack(shelf)))
  }

  async #giveBack({ stock }: Shelf): Promise<void> {
    const all = stock.splice(0)
    if (all.length === 0) return
    try {
      await Promise.all(all.map((held) => this.#putBack(held.shelf, held.frame, 0)))
      await this.#acknowledge(all)
    } catch {
      // Their time runs out.
    }
  }

  // ---- The stock

  #take(shelf: Shelf, message: Msg): void {
    const reply = message.reply ?? ''
    const { count, stream: sequence } = deliveryOf(reply)
    const [frame] = decodeFrames(message.data)
    const held: Held = {
      shelf,
      frame: frame ?? { id: '', body: message.data, deliveries: 0, delayMs: 0 },
      sequence,
      reply,
      until: this.#parts.clock.monotonic() + this.#leaseMs,
      isSettled: false,
    }
    // What is to wait is handed out the second time.
    const expected = held.frame.delayMs > 0 ? 2 : 1
    if (count < expected) this.#postpone(held, held.frame.delayMs)
    else if (count > expected) void this.#suspect(held)
    else {
      if (shelf.ackWaitMs !== this.#leaseMs) this.#hold(held)
      shelf.stock.push(held)
      if (this.#receiving === 0) this.#restSoon()
      else if (shelf.level === 'suspect') void this.#refuseSuspects()
    }
  }

  /** Its time has run out, with somebody else. */
  async #suspect(held: Held): Promise<void> {
    const { jetstream, names } = this.#parts
    const { id, body, deliveries } = held.frame
    const { subject } = names.queue(held.shelf.queue, 'suspect')
    const data = encodeFrame(id, body, deliveries + 1)
    try {
      await jetstream.connection.insist(subject, false, () => jetstream.store(subject, data))
      await this.#acknowledge([held])
    } catch {
      // It comes again.
    }
  }

  /** A suspect comes alone, before all others. */
  #handOut(max: number, suspects: boolean): Lease[] {
    const now = this.#parts.clock.monotonic()
    const batch: Lease[] = []
    const take = (level: Level, most: number): void => {
      // Another queue is the first each time, so that a full one cannot keep the others waiting.
      const first = this.#turn % this.#shelves.length
      for (let i = 0; i < this.#shelves.length && batch.length < most; i++) {
        const shelf = this.#shelves[(first + i) % this.#shelves.length]!
        if (shelf.level !== level) continue
        for (const held of shelf.stock.splice(0, most - batch.length)) if (held.until > now) batch.push(leaseOf(held))
      }
    }
    if (suspects) take('suspect', 1)
    if (batch.length === 0) for (const level of [1, 0] as const) take(level, max)
    return batch
  }

  // ---- What is said to the server

  /** The server confirms the last of each consumer, which it hears after the others. */
  async #acknowledge(all: readonly Held[]): Promise<void> {
    const { connection } = this.#parts.jetstream
    const last = new Map(all.map((held) => [held.shelf, held]))
    await Promise.all(
      all.map(async (held) => {
        if (last.get(held.shelf) === held) await connection.call(held.reply, ACK)
        else if (!connection.say(held.reply, ACK)) throw unavailable('settle', 'there is no connection', 'unknown')
      }),
    ).catch((error: unknown) => {
      // A consumer that is gone has taken what it knew with it.
      if (!isRefusal(error)) throw error
    })
    for (const held of all) held.isSettled = true
  }

  /** For the time of a lease from now on. */
  #hold(held: Held, working?: Buffer): boolean {
    if (working !== undefined && held.shelf.ackWaitMs === this.#leaseMs)
      return this.#parts.jetstream.connection.say(held.reply, working)
    return this.#postpone(held, this.#leaseMs)
  }

  /** The server hands it out again after this time, unless it is acknowledged before. */
  #postpone(held: Held, ms: number): boolean {
    return this.#parts.jetstream.connection.say(held.reply, Buffer.from(`-NAK {"delay": ${Math.ceil(ms) * NANOS}}`))
  }

  /** As a new message, so that this delivery does not count. */
  async #putBack(shelf: Shelf, { id, body, deliveries }: Frame, delayMs: number): Promise<void> {
    const { jetstream } = this.#parts
    const data = encodeFrame(id, body, deliveries, delayMs)
    await jetstream.connection.insist(shelf.subject, true, () => jetstream.store(shelf.subject, data))
  }

  // ---- The consumers of the server

  async #ensure(): Promise<void> {
    if (this.#shelves.every(({ ackWaitMs }) => ackWaitMs !== undefined)) return
    await Promise.all(this.#shelves.map(async (shelf) => (shelf.ackWaitMs ??= await this.#ensureShelf(shelf))))
  }

  /** Answers how long it leaves a message with whoever has it: what the first of all has asked for. */
  async #ensureShelf({ stream, consumer, subject }: Shelf): Promise<number> {
    const { jetstream } = this.#parts
    for (;;) {
      const known = await jetstream.consumerInfo(stream, consumer)
      if (known !== undefined) return (known.config.ack_wait ?? 0) / NANOS
      try {
        await jetstream.createConsumer(stream, consumer, {
          durable_name: consumer,
          filter_subject: subject,
          ack_policy: 'explicit',
          ack_wait: this.#leaseMs * NANOS,
          // For ever: how often is counted here.
          max_deliver: -1,
          max_ack_pending: -1,
          max_waiting: MAX_WAITING,
          deliver_policy: 'all',
          replay_policy: 'instant',
        })
        return this.#leaseMs
      } catch (error) {
        // Another process was quicker, with another lease.
        if (!hasCause(error, ERROR.consumerExists, ERROR.consumerNameExists)) throw error
      }
    }
  }

  /** No longer than an answer may take. */
  async #within(work: Promise<unknown>): Promise<void> {
    let cancel = (): void => {}
    const { clock } = this.#parts
    await Promise.race([work, new Promise<void>((resolve) => (cancel = clock.after(LOOK_MS, resolve)))])
    cancel()
  }
}

function leaseOf(held: Held): Lease {
  const { frame, shelf } = held
  return { id: frame.id, queue: shelf.queue, body: frame.body, deliveries: frame.deliveries + 1, token: held }
}
