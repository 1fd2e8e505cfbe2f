// Receiving and settling tasks. A task that is handed out is of a message of the server that this process holds (`holdings.ts`). A message that comes a second time has run out: its tasks
// become messages of their own among the suspects, so that a settlement that comes too late finds nothing to settle, and so that those who want no suspects get none.
import type { ConsumeOptions, Lease, ReceiveOptions, Send, Settlement, TaskConsumer } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError, waitAtMost } from '@tasks/core/adapter'
import type { Msg } from '@nats-io/transport-node'
import { setMaxListeners } from 'node:events'
import { ERROR } from './failure'
import type { Frame } from './frame'
import type { Held, HeldTask, Shelf } from './holdings'
import { Holdings } from './holdings'
import type { ConsumerInfo, JetStream } from './jetstream'
import { hasCause, NANOS } from './jetstream'
import type { Level, Names } from './names'
import { LEVELS } from './names'
import type { Outbox } from './outbox'
import { encodeLetter } from './outbox'
import { deleteOutlived } from './outlived'
import { Pulls } from './pulls'
import { checkConsumer, CONSUMER_SETTINGS } from './settings'
import { Stalls } from './stalls'

export interface ConsumerParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly names: Names
  readonly outbox: Outbox
  /** Throws if one of the sends may not be made. */
  readonly check: (sends: readonly Send[]) => void
}

/** With what was received and not handed out yet. */
interface Stocked extends Shelf {
  readonly stock: HeldTask[]
  /** How many tasks the last message had. */
  size: number
}

/** What has come although nobody receives is given back after this time. */
const IDLE_MS = 50
const RETRY_MS = 50
/** How much of a lease is left at least when a task is handed out. */
const LEAST_OF_LEASE = 3 / 4
/** What was asked for is answered by then, or comes later. */
const LOOK_MS = 2_000
const REST_MS = 50
/** What the server says of a request may be lost. */
const ASK_AGAIN_MS = 3_000
const MAX_WAITING = 2_048
/** Tasks of shared messages come after single ones, but in every so many receives before them. */
const MANY_FIRST = 8
/** How many tasks a message is thought to share before one has come. */
const SIZE = 16

export class Consumer implements TaskConsumer {
  readonly #parts: ConsumerParts
  readonly #leaseMs: number
  readonly #shelves: readonly Stocked[]
  readonly #holdings: Holdings
  readonly #pulls: Pulls<Stocked>
  readonly #stalls: Stalls<Stocked>
  readonly #closing = new AbortController()
  readonly #waiting = new Set<() => void>()
  readonly #stopListening: () => void
  #receiving = 0
  /** How many of them take suspects. */
  #receivingSuspects = 0
  #turn = 0
  /** There were fewer single tasks than were wanted, the last time. */
  #wasShort = false
  #cancelIdle: () => void = () => {}

  constructor(parts: ConsumerParts, { queues, leaseMs }: ConsumeOptions) {
    if (!(leaseMs > 0)) throw new TaskError('TASKS_OPTIONS', `leaseMs must be a number above 0, not ${leaseMs}`)
    this.#parts = parts
    this.#leaseMs = Math.ceil(leaseMs)
    const { names, jetstream } = parts
    this.#shelves = [...new Set(queues)].flatMap((queue) =>
      LEVELS.map((level) => {
        const { subject, consumer } = names.queue(queue, level)
        const { queue: stream } = names.streams
        return { queue, level, subject, consumer, stream, stock: [], ackWaitMs: undefined, size: SIZE }
      }),
    )
    this.#holdings = new Holdings(parts, this.#leaseMs)
    this.#pulls = new Pulls<Stocked>({
      jetstream,
      clock: parts.clock,
      sources: this.#shelves,
      onMessage: (shelf, message) => this.#take(shelf, message),
      onChange: () => this.#wakeAll(),
      onMissing: (shelf) => (shelf.ackWaitMs = undefined),
    })
    this.#stalls = new Stalls<Stocked>({ jetstream, clock: parts.clock, sources: this.#shelves, pulls: this.#pulls })
    this.#stalls.start()
    this.#stopListening = jetstream.connection.onGap(() => {
      this.#pulls.forget()
      // The server may have lost what its consumers were told of.
      for (const shelf of this.#shelves) shelf.ackWaitMs = undefined
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
      const { isSettled, until = 0 } = lease.token as HeldTask
      // One that has run out comes back by itself, or has gone to somebody else.
      return !isSettled && (op === 'ack' || until > now)
    })
    const stored = new Map<Held, Promise<readonly Frame[]>>()
    const gone = new Set<HeldTask>()
    await Promise.all([
      outbox.sendAll(sends),
      ...due.map(async (settlement) => {
        const task = settlement.lease.token as HeldTask
        const { message, place } = task
        if (settlement.op === 'ack' || task.isDone) return
        if (!stored.has(message)) stored.set(message, this.#holdings.stored(message))
        const frame = (await stored.get(message)!)[place]
        // Others have settled it; or it is not there yet, for who leads since a moment: then it comes again.
        if (frame === undefined) return void gone.add(task)
        if (settlement.op === 'return') return this.#holdings.putBack(task, frame, settlement.delayMs)
        const letter = encodeLetter(settlement.letter, frame.body)
        await jetstream.connection.insist(names.dead, true, () => jetstream.store(names.dead, letter))
      }),
    ])
    await this.#holdings.settle(due.map(({ lease }) => lease.token as HeldTask).filter((task) => !gone.has(task)))
  }

  async extend(leases: readonly Lease[]): Promise<void> {
    const { clock, lifetime } = this.#parts
    lifetime.refuseIfOver()
    const now = clock.monotonic()
    const live = leases
      .map(({ token }) => token as HeldTask)
      .filter(({ isSettled, until = 0 }) => !isSettled && until > now)
    const messages = [...new Set(live.map((task) => task.message))]
    await this.#holdings.recognize(messages)
    for (const message of messages) this.#holdings.extend(message)
    for (const task of live) task.until = task.message.until
    // Of a message that is held on, what nobody extends runs out here: the server knows only of the whole.
    for (const message of messages)
      for (const task of message.tasks)
        if (!task.isDone && (task.until ?? Infinity) <= now) this.#holdings.runOut(task).catch(() => {})
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#stopListening()
    this.#stalls.stop()
    this.#cancelIdle()
    this.#wakeAll()
    await this.#pulls.stop()
    await this.#rest()
  }

  // ---- Looking and waiting

  /** What is there now. The highest level is always asked, so that nothing of a lower one is handed out before it. */
  async #look(max: number, suspects: boolean): Promise<void> {
    await this.#ensure()
    const turn = ++this.#turn
    const queues = this.#shelves.length / LEVELS.length
    const perQueue = Math.ceil(max / queues)
    const isManyToo = this.#wasShort || turn % MANY_FIRST === 0
    const isShort = this.#stock(1, 0, 'many') < max
    await this.#askAll(
      this.#shelves.filter(({ level, stock }, i) => {
        // One suspect at most, of another queue each time.
        if (level === 'suspect')
          return suspects && Math.floor(i / LEVELS.length) === turn % queues && stock.length === 0
        return level === 1 || (isShort && (level === 0 || isManyToo))
      }),
      perQueue,
    )
    this.#wasShort = this.#stock(1, 0) < max
    if (isManyToo || this.#stock(1, 0, 'many') >= max) return
    await this.#askAll(
      this.#shelves.filter(({ level }) => level === 'many'),
      perQueue,
    )
  }

  /**
   * For what there is. Whoever asks in the moment in which others take the last of it is not told so by the server, and gets what comes next: so an
   * answer is waited for until the server has read the question, and not much longer.
   */
  async #askAll(shelves: readonly Stocked[], tasks: number): Promise<void> {
    const { clock, jetstream } = this.#parts
    const asked = shelves.filter((shelf) => !this.#pulls.isAsking(shelf))
    if (asked.length === 0) return
    const answers = Promise.all(asked.map((shelf) => this.#ask(shelf, tasks, 0)))
    if (await waitAtMost(clock, LOOK_MS, Promise.race([answers, jetstream.connection.flush()])))
      await waitAtMost(clock, REST_MS, answers)
  }

  /** For so many tasks; of suspects, for one. */
  async #ask(shelf: Stocked, tasks: number, waitMs: number): Promise<void> {
    // It waits already: there is nothing there, or it would have come.
    if (this.#pulls.isAsking(shelf)) return
    const messages = shelf.level === 'many' ? Math.max(1, Math.floor(tasks / shelf.size)) : tasks
    await this.#pulls.ask(shelf, shelf.level === 'suspect' ? 1 : messages, waitMs)
  }

  #stock(...levels: readonly Level[]): number {
    let count = 0
    for (const { level, stock } of this.#shelves) if (levels.includes(level)) count += stock.length
    return count
  }

  /** Until something comes. */
  async #wait(max: number, suspects: boolean, ms: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#ensure()
    const { jetstream, lifetime } = this.#parts
    const perQueue = Math.ceil(max / (this.#shelves.length / LEVELS.length))
    if (jetstream.connection.isConnected) {
      for (const shelf of this.#shelves) {
        if (shelf.level === 'suspect' && !suspects) continue
        void this.#ask(shelf, perQueue, ms)
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

  async #giveBack({ stock }: Stocked): Promise<void> {
    const now = this.#parts.clock.monotonic()
    const all = stock.splice(0).filter(({ message }) => message.until > now)
    // What cannot be given back runs out.
    await Promise.allSettled(all.map((task) => this.#holdings.putBack(task, task.frame, 0)))
    await this.#holdings.settle(all.filter(({ isDone }) => isDone)).catch(() => {})
  }

  // ---- The stock

  #take(shelf: Stocked, received: Msg): void {
    const message = this.#holdings.take(shelf, received)
    shelf.size = message.tasks.length
    // What is to wait is handed out the second time.
    const { delayMs } = message.tasks[0]!.frame
    const expected = delayMs > 0 ? 2 : 1
    if (message.count < expected) this.#holdings.postpone(message, delayMs)
    // Its time has run out, with somebody else.
    else if (message.count > expected) this.#holdings.takeOver(message).catch(() => {})
    else {
      if (shelf.ackWaitMs !== this.#leaseMs) this.#holdings.extend(message)
      shelf.stock.push(...message.tasks)
      if (this.#receiving === 0) this.#restSoon()
      else if (shelf.level === 'suspect') void this.#refuseSuspects()
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
        for (const task of shelf.stock.splice(0, most - batch.length))
          if (task.message.until > now) batch.push(this.#lease(task, now))
      }
    }
    if (suspects) take('suspect', 1)
    const levels = this.#turn % MANY_FIRST === 0 ? ([1, 'many', 0] as const) : ([1, 0, 'many'] as const)
    if (batch.length === 0) for (const level of levels) take(level, max)
    return batch
  }

  #lease(task: HeldTask, now: number): Lease {
    const { message, frame } = task
    // It has been here for a while: a lease is a lease.
    if (message.until < now + this.#leaseMs * LEAST_OF_LEASE) this.#holdings.extend(message)
    task.until = message.until
    const { id, body, deliveries } = frame
    return { id, queue: message.shelf.queue, body, deliveries: deliveries + 1, token: task }
  }

  // ---- The consumers of the server

  async #ensure(): Promise<void> {
    if (this.#shelves.every(({ ackWaitMs }) => ackWaitMs !== undefined)) return
    await Promise.all(this.#shelves.map(async (shelf) => (shelf.ackWaitMs ??= await this.#ensureShelf(shelf))))
  }

  /** Answers how long it leaves a message with whoever has it. */
  async #ensureShelf(shelf: Shelf): Promise<number> {
    const { queue, stream, consumer, subject } = shelf
    let found = await this.#parts.jetstream.consumerInfo(stream, consumer)
    if (found !== undefined && (await deleteOutlived(this.#parts, shelf, found))) found = undefined
    found ??= await this.#create(queue, stream, consumer, subject)
    checkConsumer(found, stream, subject)
    return (found.config.ack_wait ?? 0) / NANOS
  }

  async #create(queue: string, stream: string, consumer: string, subject: string): Promise<ConsumerInfo> {
    const { jetstream } = this.#parts
    const leaseMs = await this.#agreedLease(queue)
    for (;;) {
      try {
        return await jetstream.createConsumer(stream, consumer, {
          durable_name: consumer,
          filter_subject: subject,
          ack_wait: leaseMs * NANOS,
          max_waiting: MAX_WAITING,
          ...CONSUMER_SETTINGS,
        })
      } catch (error) {
        if (!hasCause(error, ERROR.consumerExists, ERROR.consumerNameExists)) throw error
        // Another process was quicker, with other settings.
        const found = await jetstream.consumerInfo(stream, consumer)
        if (found !== undefined) return found
      }
    }
  }

  /** What the first of all has asked for. 2.9 changes a consumer that is created once more, and its first owner would not hear of it: so nobody asks for anything else. */
  async #agreedLease(queue: string): Promise<number> {
    const { jetstream, names } = this.#parts
    const subject = names.lease(queue)
    const mine = Buffer.from(String(this.#leaseMs))
    try {
      await jetstream.connection.insist(subject, true, () => jetstream.store(subject, mine, 0))
      return this.#leaseMs
    } catch (error) {
      if (!hasCause(error, ERROR.wrongLastSequence)) throw error
    }
    const found = await jetstream.find(names.streams.state, { last_by_subj: subject })
    return found === undefined ? this.#leaseMs : Number(Buffer.from(found.data).toString())
  }
}
