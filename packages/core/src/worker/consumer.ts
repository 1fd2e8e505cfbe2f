// The worker's side of the task queues: receives in batches, settles in batches, and keeps the leases of what it has from running out.
//
// Q1. An outcome is durable before its message is settled: they go in one `settle`, which sends first.
// Q2. A settle that fails is tried again; meanwhile the leases are extended, and whatever happens the message is not lost.
// Q3. What can never be run becomes a dead letter, and its owner is told with the same settle.
import { sleep, waitAtMost, type Clock } from '../clock'
import { TaskError } from '../errors'
import { messageOf } from '../failure'
import type { LargeValues } from '../large-values'
import { partitionOf } from '../ids'
import type { Logger } from '../logger'
import { LONE_PATH, promote } from '../lone-task'
import { asBuffer } from '../record'
import { encodeDispatch } from '../engine/dispatch'
import type { Dispatch } from '../engine/draft'
import type { TaskSource } from './task-source'
import { DEFAULT_QUEUE } from '../task-options'
import type { DeadLetterInfo, Lease, Send, Settlement, Space, TaskConsumer } from '../transport'
import { failureValue, isFailure, type Value } from '../value'
import { decodeTask, type TaskMessage } from '../wire/task-message'
import { encodeInbox, outcomeBytes, type Outcome, type RunningItem } from '../wire/inbox-message'
import { encodeReply } from '../wire/reply'
import type { Announcer } from './announcer'
import { outcomeOf, type Executor, type Received } from './executor'
import type { Finished } from './finished'
import { UnknownTasks } from './unknown-tasks'

export interface ConsumerOptions {
  readonly space: Space
  readonly values: LargeValues
  readonly tasks: TaskSource
  readonly queues: readonly string[]
  readonly executor: Executor
  readonly clock: Clock
  readonly logger: Logger
  readonly leaseMs: number
  readonly maxDeliveries: number
  /** What was held by a process that died is no suspect: its tasks wait, and do not kill. */
  readonly trusting?: boolean
  readonly unknownTaskGraceMs: number
  readonly announcer: Announcer | undefined
}

/** While closing, a settle that fails is not tried for ever: the leases run out. */
const LAST_TRIES = 5
const MOST_PATIENCE_MS = 5_000

export class Consumer {
  readonly #options: ConsumerOptions
  readonly #consumer: TaskConsumer
  readonly #stop = new AbortController()
  readonly #held = new Map<Lease, number>()
  #suspect: Lease | undefined
  #endWait: (() => void) | undefined
  readonly #unknown: UnknownTasks
  #settlements: Settlement[] = []
  #outcomes: Outcome[] = []
  #onStored: (() => void)[] = []
  #sends: Send[] = []
  #settling: Promise<void> | undefined
  /** What the settle says that is under way. */
  #beingSettled: readonly Settlement[] = []
  #wake: (() => void) | undefined
  /** A receive waits at queues that were empty, or could not be received from: no slot is kept for them. */
  #waiting = false
  #closing = false
  #closed = false
  #sequence = 0
  readonly #name: string
  readonly #stopExtending: () => void

  constructor(options: ConsumerOptions) {
    this.#options = options
    this.#name = options.clock.uid()
    this.#unknown = new UnknownTasks(options.clock)
    this.#consumer = options.space.consume({ queues: options.queues, leaseMs: options.leaseMs })
    options.executor.onSlot = () => this.#wake?.()
    options.executor.queuesMayHaveMore = () => !this.#waiting && !this.#stop.signal.aborted
    this.#stopExtending = this.#extendRegularly()
  }

  /** Receives until `stop`. Never rejects. */
  async run(): Promise<void> {
    const { executor, clock, logger, leaseMs } = this.#options
    const { signal } = this.#stop
    let failures = 0
    let waitMs = 0
    while (!signal.aborted) {
      const max = executor.wanted
      if (max === 0) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        this.#wake = undefined
        continue
      }
      try {
        if (waitMs > 0) {
          this.#waiting = true
          executor.poke()
        }
        const leases = await this.#receive(max, waitMs)
        failures = 0
        this.#waiting = false
        // Empty: wait for the next one, and let others have the slots meanwhile.
        waitMs = leases.length === 0 ? leaseMs / 2 : 0
        if (leases.length > 0) this.#take(leases)
      } catch (error) {
        this.#waiting = true
        if (signal.aborted || isClosed(error)) break
        executor.poke()
        this.#options.announcer?.notReceived(error)
        logger.warn({ error, queues: this.#options.queues }, 'receiving failed and is tried again')
        await sleep(clock, Math.min(10_000, 100 * 2 ** failures++) * (0.5 + clock.random() / 2), signal)
      }
    }
  }

  /** One suspect at a time. A wait that leaves them out ends with the one that is in hand: another may be there. */
  async #receive(max: number, waitMs: number): Promise<readonly Lease[]> {
    const { signal } = this.#stop
    if (this.#suspect === undefined || waitMs === 0)
      return this.#consumer.receive({ max, waitMs, suspects: this.#suspect === undefined, signal })
    const wait = new AbortController()
    const end = (): void => wait.abort()
    signal.addEventListener('abort', end, { once: true })
    this.#endWait = end
    try {
      return await this.#consumer.receive({ max, waitMs, suspects: false, signal: wait.signal })
    } finally {
      this.#endWait = undefined
      signal.removeEventListener('abort', end)
    }
  }

  #take(leases: readonly Lease[]): void {
    const { executor, clock } = this.#options
    const now = clock.monotonic()
    const ready: Received[] = []
    for (const lease of leases) {
      this.#held.set(lease, now)
      if (lease.deliveries > 1 && this.#options.trusting !== true) this.#suspect = lease
      const received = this.#accept(lease)
      if (received !== undefined) ready.push(received)
    }
    if (ready.length > 0) executor.receive(ready)
  }

  /** Decodes a message; undefined if it is not to be run here. */
  #accept(lease: Lease): Received | undefined {
    const { tasks, executor, maxDeliveries, unknownTaskGraceMs, logger } = this.#options
    let message: TaskMessage
    try {
      message = decodeTask(lease.body, lease.id)
    } catch (error) {
      this.#options.announcer?.notReceived(error)
      this.#kill(lease, undefined, {
        reason: 'undecodable',
        message: error instanceof Error ? error.message : String(error),
        source: lease.queue,
      })
      return undefined
    }
    const deliveries = lease.deliveries + message.resends
    if (deliveries > 1 && executor.hasEnded(message)) {
      this.#settle({ lease, op: 'ack' })
      return undefined
    }
    if (deliveries > maxDeliveries) {
      const text = `the task "${message.task}" was delivered ${maxDeliveries} times and never ended: it may have killed its process`
      this.#kill(
        lease,
        message,
        { reason: 'max-deliveries', message: text, source: lease.queue, task: message.task },
        'TASKS_MAX_DELIVERIES',
      )
      return undefined
    }
    const task = tasks.find(message.task)
    if (task === undefined) {
      if (this.#unknown.see(message) > unknownTaskGraceMs) {
        this.#unknown.forget(message)
        const text = `no worker knew the task "${message.task}" for ${unknownTaskGraceMs} ms`
        this.#kill(
          lease,
          message,
          { reason: 'unknown-task', message: text, source: lease.queue, task: message.task },
          'TASKS_UNKNOWN_TASK',
        )
      } else {
        if (this.#unknown.isToBeTold(message.task))
          logger.warn({ task: message.task, id: message.id, known: tasks.names() }, 'an unknown task was given back')
        this.#settle({ lease, op: 'return', delayMs: this.#unknown.delayOf(message) })
      }
      return undefined
    }
    if (deliveries > 1) message = alone(message)
    return {
      message,
      task,
      done: (finished) => this.#finished(lease, message, finished),
      giveBack: () => this.#settle({ lease, op: 'return', delayMs: 0 }),
    }
  }

  #finished(lease: Lease, message: TaskMessage, finished: Finished): void {
    // Where settling takes longer than a lease, it comes again and again. A lone task's failure is settled with its lease, which another may have by now.
    if (lease.deliveries > 1 && (message.run !== '' || !isFailure(finished.value)))
      this.#options.executor.rememberEnded(message)
    if (message.run === '') return this.#finishedAlone(lease, message, finished)
    this.#outcomes.push(outcomeOf(message, finished))
    this.#settle({ lease, op: 'ack' })
  }

  /** The outcome of a task that was handed over in memory and whose owner is gone. Resolves when it is stored. */
  report(outcome: Outcome): Promise<void> {
    this.#outcomes.push(outcome)
    this.#flushSoon()
    return new Promise((resolve) => this.#onStored.push(resolve))
  }

  /** A task that was handed over in memory, did not end, and whose owner is gone: it goes to its queue. */
  sendBack(dispatch: Dispatch): void {
    const { queue = DEFAULT_QUEUE, priority } = dispatch.step
    this.#sends.push({
      target: priority === undefined ? { to: 'task', queue } : { to: 'task', queue, priority },
      id: this.#sendId(),
      body: encodeDispatch(dispatch, this.#options.clock.now()),
    })
    this.#flushSoon()
  }

  #finishedAlone(lease: Lease, message: TaskMessage, { value, verdict }: Finished): void {
    if (isFailure(value)) {
      const retry = message.options.retry ?? verdict?.retry
      if (verdict?.retryable === true && retry !== undefined && message.attempt <= retry.maxRetries) {
        const { retry: _, ...rest } = verdict
        const submit = promote(message, lease.queue, value, rest, retry)
        this.#sendToInbox(message.id, encodeInbox(submit))
        return this.#settle({ lease, op: 'ack' })
      }
      const failure = asBuffer(value.bytes).toString()
      const letter: DeadLetterInfo = {
        reason: 'failed',
        message: messageOf(failure),
        source: lease.queue,
        task: message.task,
        failure,
      }
      this.#reply(message, value)
      return this.#settle({ lease, op: 'dead', letter })
    }
    this.#reply(message, value)
    this.#settle({ lease, op: 'ack' })
  }

  #reply(message: TaskMessage, value: Value): void {
    const { replyTo } = message.options
    if (replyTo === undefined) return
    const status = isFailure(value) ? 'FAILED' : 'COMPLETED'
    this.#sends.push({
      target: { to: 'reply', address: replyTo },
      id: this.#sendId(),
      body: encodeReply({ type: 'ended', id: message.id, run: '', status, value }),
    })
  }

  /** Makes it a dead letter; a pipeline's task fails its entry with the same settle. */
  #kill(lease: Lease, message: TaskMessage | undefined, letter: DeadLetterInfo, code = 'TASKS_DEAD_LETTERED'): void {
    this.#options.logger.error({ reason: letter.reason, queue: lease.queue, task: letter.task }, letter.message)
    if (message !== undefined) {
      const { id, run, path, attempt, task } = message
      const value = failureValue({
        code,
        name: 'TaskError',
        message: letter.message,
        task: { name: task, id: id + (path || LONE_PATH), attempt },
      })
      if (run !== '') this.#outcomes.push({ id, run, path, attempt, value, verdict: { retryable: false } })
      else this.#reply(message, value)
    }
    const pipelineId = message === undefined || message.run === '' ? undefined : message.id
    this.#settle({ lease, op: 'dead', letter: pipelineId === undefined ? letter : { ...letter, pipelineId } })
  }

  // ---- Settling -----------------------------------------------------------------------------------------------------

  #settle(settlement: Settlement): void {
    this.#settlements.push(settlement)
    this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#settling !== undefined) return
    this.#settling = new Promise<void>((resolve) => this.#options.clock.soon(resolve)).then(() => this.#flush())
  }

  async #flush(): Promise<void> {
    const { clock, logger } = this.#options
    while (this.#settlements.length > 0 || this.#outcomes.length > 0 || this.#sends.length > 0) {
      const settlements = this.#settlements
      const sends = [...this.#sends, ...this.#packOutcomes()]
      const onStored = this.#onStored
      this.#settlements = []
      this.#beingSettled = settlements
      this.#outcomes = []
      this.#onStored = []
      this.#sends = []
      for (let failures = 0; ; failures++) {
        try {
          await this.#consumer.settle(settlements, sends)
          break
        } catch (error) {
          // A transport that is closed for good takes nothing more; the leases run out.
          if (this.#closed || isClosed(error) || (this.#closing && failures >= LAST_TRIES)) return
          this.#options.announcer?.notSettled(error)
          logger.warn({ error, count: settlements.length }, 'settling failed and is tried again')
          await sleep(clock, Math.min(5_000, 50 * 2 ** failures) * (0.5 + clock.random() / 2))
        }
      }
      for (const stored of onStored) stored()
      for (const { lease } of settlements) {
        this.#held.delete(lease)
        if (this.#suspect !== lease) continue
        this.#suspect = undefined
        this.#endWait?.()
      }
    }
    this.#settling = undefined
  }

  /** One message per partition, as large as a message may be. */
  #packOutcomes(): Send[] {
    if (this.#outcomes.length === 0) return []
    const { space, values } = this.#options
    const byPartition = new Map<number, { outcomes: Outcome[]; bytes: number }>()
    const sends: Send[] = []
    const pack = (partition: number, outcomes: readonly Outcome[]): void =>
      void sends.push({
        target: { to: 'inbox', partition },
        id: this.#sendId(),
        body: encodeInbox({ type: 'outcomes', outcomes }),
      })
    for (const outcome of this.#outcomes) {
      const partition = partitionOf(outcome.id, space.partitions)
      const bytes = outcomeBytes(outcome)
      const batch = byPartition.get(partition)
      if (batch === undefined) byPartition.set(partition, { outcomes: [outcome], bytes })
      else if (batch.bytes + bytes > values.limits.messageBytes || batch.outcomes.length >= 500) {
        pack(partition, batch.outcomes)
        byPartition.set(partition, { outcomes: [outcome], bytes })
      } else {
        batch.outcomes.push(outcome)
        batch.bytes += bytes
      }
    }
    for (const [partition, { outcomes }] of byPartition) pack(partition, outcomes)
    return sends
  }

  #sendToInbox(id: string, body: Uint8Array): void {
    this.#sends.push({
      target: { to: 'inbox', partition: partitionOf(id, this.#options.space.partitions) },
      id: this.#sendId(),
      body,
    })
  }

  #sendId(): string {
    return `${this.#name}.${this.#sequence++}`
  }

  // ---- Leases -------------------------------------------------------------------------------------------------------

  #extendRegularly(): () => void {
    const { clock, leaseMs } = this.#options
    let cancel: () => void = () => undefined
    const again = (): void => {
      cancel = clock.after(leaseMs / 3, () => void this.#extend().finally(() => this.#closed || again()), {
        unref: true,
      })
    }
    again()
    return () => cancel()
  }

  async #extend(): Promise<void> {
    const { clock, leaseMs, logger, executor, space } = this.#options
    const now = clock.monotonic()
    const old: Lease[] = []
    for (const [lease, since] of this.#held) if (now - since >= leaseMs / 3 - 1) old.push(lease)
    try {
      if (old.length > 0) await this.#consumer.extend(old)
      const byPartition = new Map<number, RunningItem[]>()
      for (const item of executor.report(leaseMs)) {
        const partition = partitionOf(item[0], space.partitions)
        const items = byPartition.get(partition)
        if (items === undefined) byPartition.set(partition, [item])
        else items.push(item)
      }
      if (byPartition.size === 0) return
      await space.send(
        [...byPartition].map(([partition, items]) => ({
          target: { to: 'inbox' as const, partition },
          id: this.#sendId(),
          body: encodeInbox({ type: 'running', items }),
        })),
      )
    } catch (error) {
      logger.warn({ error, leases: old.length }, 'leases could not be extended')
    }
  }

  // ---- End ----------------------------------------------------------------------------------------------------------

  /** Stops receiving; what is held goes on, and stays ours. */
  stop(): void {
    this.#stop.abort()
    this.#wake?.()
  }

  /** Gives back what is still held, uncounted, and settles the rest. After `run` has ended. */
  async close(): Promise<void> {
    const { clock, leaseMs, logger } = this.#options
    this.stop()
    this.#closing = true
    // A transport that does not answer is not waited for.
    const patienceMs = Math.min(leaseMs, MOST_PATIENCE_MS)
    await waitAtMost(clock, patienceMs, Promise.resolve(this.#settling))
    this.#closed = true
    this.#stopExtending()
    // What is said twice may arrive the other way round: then what has ended would run once more. If it never arrives, the lease runs out.
    for (const { lease } of this.#beingSettled) this.#held.delete(lease)
    const left = [...this.#held.keys()].map((lease): Settlement => ({ lease, op: 'return', delayMs: 0 }))
    if (left.length > 0) {
      const givenBack = this.#consumer.settle(left, []).catch((error: unknown) => {
        logger.debug({ error, leases: left.length }, 'leases run out instead of being given back')
      })
      await waitAtMost(clock, patienceMs, givenBack)
    }
    await waitAtMost(clock, patienceMs, this.#consumer.close())
  }
}

/** What was lost once runs alone: nothing goes with it if it kills its process, or it with what would. */
function alone(message: TaskMessage): TaskMessage {
  const { following, ...options } = message.options
  return following === undefined ? message : { ...message, options }
}

function isClosed(error: unknown): boolean {
  return TaskError.is(error) && error.code === 'TASKS_CLOSED'
}
