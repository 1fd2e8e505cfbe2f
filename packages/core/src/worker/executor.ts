// Runs tasks, at most `concurrency` at a time, from two sources: what the owners of this process hand over, and what was received from queues.
//
// E1. While its queues are not known to be empty, every fourth slot that comes free goes to `receive`: a large group in this process starves nobody.
// E2. What is handed over and cannot be started soon is given back, so that other workers have it.
// E3. An outcome goes to the owner that this process has for the partition now, whichever session handed the task over; else to the inbox.
import type { Clock } from '../clock'
import { MOST_INPUTS } from '../engine/arrivals'
import type { EntryName, Dispatch } from '../engine/draft'
import { argsBesideText, taskOptions, textOfArgs } from '../engine/dispatch'
import { sentEntryOf } from '../engine/following'
import type { LaneOwner, LocalItem, LocalLane } from '../engine/local-lane'
import { failureValue, isFailure, NONE } from '../value'
import type { AnyTask } from '../tasks'
import type { TaskSource } from './task-source'
import { TaskError } from '../errors'
import type { Outcome, RunningItem } from '../wire/inbox-message'
import type { TaskMessage } from '../wire/task-message'
import { UNFINISHED, type Finished } from './finished'
import type { Runner } from './runner'
import type { RunningTask } from './running-task'

/** What waits no longer than this for a slot may wait here; in milliseconds. */
const SOON_MS = 5
/** What has waited this long is given back. */
const TOO_LONG_MS = 10
/** The most that waits here, however quick the tasks: what two commits start, so that one runs while the other is stored. */
const MOST_AHEAD = 2 * MOST_INPUTS
/** The most of it that comes from queues: what waits here waits in no other process. */
const MOST_RECEIVED = 2_000
/** How many late ends are remembered. */
const MOST_LATE = 1_000
const MOST_CANCELLED = 10_000
const CANCELLED: Finished = {
  value: failureValue({ code: 'TASKS_CANCELLED', name: 'TaskError', message: 'the pipeline was cancelled' }),
  verdict: { retryable: false },
}
/** Synchronous tasks run this long before the event loop has its turn. */
const SLICE_MS = 4

/** A task that came from a queue. */
export interface Received {
  readonly message: TaskMessage
  readonly task: AnyTask
  readonly done: (finished: Finished) => void
  /** Not started, and not going to be. */
  readonly giveBack: () => void
}

interface Running {
  readonly running: RunningTask
  readonly since: number
  /** Of what an owner has handed over: where it came from. */
  readonly local: LocalItem | undefined
  /** Of what came from a queue. */
  readonly received: Received | undefined
  /** It was given back: others run it. */
  abandoned: boolean
}

export interface ExecutorOptions {
  readonly concurrency: number
  readonly tasks: TaskSource
  readonly queues: readonly string[]
  readonly runner: Runner
  readonly clock: Clock
  readonly leaseMs: number
  /** Of a task whose owner is not in this process any more. Resolves when it is stored. */
  readonly onOrphan: (outcome: Outcome) => Promise<void>
  /** The same, but it did not end: others are to run it. */
  readonly onOrphanAbandoned: (dispatch: Dispatch) => void
}

export class Executor implements LocalLane {
  readonly concurrency: number
  readonly #tasks: TaskSource
  readonly #queues: ReadonlySet<string>
  readonly #runner: Runner
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #onOrphan: ExecutorOptions['onOrphan']
  readonly #onOrphanAbandoned: ExecutorOptions['onOrphanAbandoned']
  readonly #owners = new Map<number, LaneOwner>()

  #active = 0
  #local: LocalItem[] = []
  #localAt = 0
  #localSince = 0
  #reserved = 0
  #received: Received[] = []
  #receivedAt = 0
  readonly #running = new Map<string, Running>()
  /** Whose outcomes are on their way to the inbox. */
  readonly #reported = new Set<string>()
  /** What ended here and may be handed out again, since its lease had run out: the latest of it. */
  readonly #endedLate = new Set<string>()
  /** Runs of which nothing is to be started any more: the latest that were cancelled. */
  readonly #cancelled = new Set<string>()
  #turn = 0
  /**
   * When the clock was last read while tasks are started one behind the other: what lies between the end of one and the beginning of the next counts as the next one's.
   * To read it once more costs as much as to start a task.
   */
  #clockedAt = 0
  /** How long a task takes, on average; in milliseconds. */
  #averageMs = 0.5
  /** What waited for a slot was given back: nothing is taken ahead until a task has ended, or it would come and go. */
  #stalled = false
  #draining = false
  #scheduled = false
  #closed = false
  #watching = false
  #onIdle: (() => void) | undefined
  /** Set by the consumer: asks for another `receive`; false while one waits at empty queues. */
  onSlot: () => void = () => undefined
  queuesMayHaveMore: () => boolean = () => false

  constructor(options: ExecutorOptions) {
    this.concurrency = options.concurrency
    this.#tasks = options.tasks
    this.#queues = new Set(options.queues)
    this.#runner = options.runner
    this.#clock = options.clock
    this.#leaseMs = options.leaseMs
    this.#onOrphan = options.onOrphan
    this.#onOrphanAbandoned = options.onOrphanAbandoned
  }

  // ---- For owners ---------------------------------------------------------------------------------------------------

  serves(queue: string, task: string): boolean {
    return !this.#closed && this.#queues.has(queue) && this.#tasks.find(task) !== undefined
  }

  room(): number {
    if (this.#closed) return 0
    return Math.max(0, this.concurrency - this.#active + this.#ahead() - this.#localWaiting - this.#reserved)
  }

  isBusy(): boolean {
    return this.#closed || (this.#active >= this.concurrency && (this.#averageMs > SOON_MS || this.#ahead() === 0))
  }

  reserve(count: number): void {
    this.#reserved += count
  }

  release(count: number): void {
    this.#reserved -= count
  }

  submit(items: readonly LocalItem[]): void {
    this.#reserved -= items.length
    if (this.#closed) {
      for (const item of items) this.#owners.get(item.partition)?.requeue([item.dispatch])
      return
    }
    if (this.#localWaiting === 0) this.#localSince = this.#clock.monotonic()
    for (const item of items) this.#local.push(item)
    this.#soon()
  }

  isRunning(entry: EntryName): boolean {
    const key = keyOf(entry)
    return this.#running.has(key) || this.#reported.has(key)
  }

  attach(owner: LaneOwner): void {
    this.#owners.set(owner.partition, owner)
  }

  detach(owner: LaneOwner): readonly Dispatch[] {
    if (this.#owners.get(owner.partition) !== owner) return []
    this.#owners.delete(owner.partition)
    return this.#takeBack((item) => item.partition === owner.partition)
  }

  toInbox(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const key = keyOf(sentEntryOf(outcome))
      this.#reported.add(key)
      void this.#onOrphan(outcome).then(() => this.#reported.delete(key))
    }
  }

  // ---- For the consumer ---------------------------------------------------------------------------------------------

  /** How many more messages it is worth to receive now. */
  get wanted(): number {
    if (this.#closed) return 0
    const free = this.concurrency - this.#active
    const ahead = this.#ahead()
    const fair = ahead > 0 ? Math.max(free, this.concurrency >> 2) + ahead : free
    return Math.max(0, Math.min(MOST_RECEIVED, fair) - this.#receivedWaiting)
  }

  /**
   * Whether it has ended here, and is handed out again only because this process did not extend its lease: its event loop was blocked, or it was
   * stopped, or the broker is slow. To run it once more might be as slow, until it is taken for one that kills its process.
   */
  hasEnded(message: TaskMessage): boolean {
    return this.#endedLate.has(keyOf(message))
  }

  /** What it came to is stored before whatever is settled later. */
  rememberEnded(message: TaskMessage): void {
    for (const oldest of this.#endedLate) {
      if (this.#endedLate.size < MOST_LATE) break
      this.#endedLate.delete(oldest)
    }
    this.#endedLate.add(keyOf(message))
  }

  receive(items: readonly Received[]): void {
    if (this.#closed) {
      for (const item of items) item.giveBack()
      return
    }
    for (const item of items) this.#received.push(item)
    this.#drain()
    this.#watch()
  }

  /** What owners are to be told: tasks that have been running for longer than this and whose owner is not in this process, and notes of progress. */
  report(ms: number): readonly RunningItem[] {
    const before = this.#clock.monotonic() - ms
    const items: RunningItem[] = []
    for (const { running, since, local } of this.#running.values()) {
      const { id, run, path, attempt } = running.message
      if (run === '') continue
      const note = running.takeNote()
      if (note !== undefined) items.push([id, run, path, attempt, note])
      else if (since <= before && (local === undefined || !this.#owners.has(local.partition)))
        items.push([id, run, path, attempt])
    }
    for (let at = this.#receivedAt; at < this.#received.length; at++) {
      const { id, run, path, attempt } = this.#received[at]!.message
      if (run !== '') items.push([id, run, path, attempt])
    }
    return items
  }

  /** The queues were found empty, or there is nothing to wait for: slots need not be kept. */
  poke(): void {
    if (!this.#draining) this.#drain()
  }

  /** These runs are being cancelled: what of them has not started never does, and what has is told. */
  cancelRuns(runs: readonly { readonly run: string }[]): void {
    for (const { run } of runs) {
      this.#cancelled.delete(run)
      this.#cancelled.add(run)
      for (const { running } of this.#running.values())
        if (running.message.run === run && !isFinal(running.message))
          running.abort(new TaskError('TASKS_CANCELLED', 'the pipeline was cancelled'))
    }
    for (const run of this.#cancelled) {
      if (this.#cancelled.size <= MOST_CANCELLED) break
      this.#cancelled.delete(run)
    }
    // What waits for a slot is looked at when it would start; that is now.
    this.#drain()
  }

  get activeCount(): number {
    return this.#active
  }

  /** Takes nothing more, and gives back what has not started. */
  stopTaking(): void {
    this.#closed = true
    this.#giveBackLocal()
    this.#giveBackReceived()
  }

  /** Resolves when nothing runs. */
  idle(): Promise<void> {
    return this.#active === 0 ? Promise.resolve() : new Promise((resolve) => (this.#onIdle = resolve))
  }

  /**
   * Gives back what still runs, uncounted, and aborts its signals; returns it. What fails from now on says nothing of the task: it was told to
   * stop. A success counts, if it is the first.
   */
  abandon(reason: TaskError): readonly TaskMessage[] {
    const left = [...this.#running.values()]
    const local = new Map<number, Dispatch[]>()
    for (const entry of left) {
      entry.abandoned = true
      entry.received?.giveBack()
      if (entry.local === undefined) continue
      const { partition, dispatch } = entry.local
      const dispatches = local.get(partition)
      if (!this.#owners.has(partition)) this.#onOrphanAbandoned(dispatch)
      else if (dispatches === undefined) local.set(partition, [dispatch])
      else dispatches.push(dispatch)
    }
    for (const [partition, dispatches] of local) this.#owners.get(partition)?.requeue(dispatches)
    for (const { running } of left) running.abort(reason)
    return left.map(({ running }) => running.message)
  }

  // ---- Running ------------------------------------------------------------------------------------------------------

  get #localWaiting(): number {
    return this.#local.length - this.#localAt
  }

  get #receivedWaiting(): number {
    return this.#received.length - this.#receivedAt
  }

  /** How many tasks may wait here beyond the slots: as many as start soon. */
  #ahead(): number {
    if (this.#stalled) return 0
    return Math.min(MOST_AHEAD, Math.floor((SOON_MS / Math.max(this.#averageMs, 0.001)) * this.concurrency))
  }

  #soon(): void {
    if (this.#scheduled || this.#draining) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#drain()
    })
  }

  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    const began = this.#clock.monotonic()
    this.#clockedAt = began
    let started = 0
    while (this.#active < this.concurrency && this.#startNext()) {
      if ((++started & 15) === 0 && this.#clockedAt - began > SLICE_MS) {
        this.#clock.soon(() => {
          this.#draining = false
          this.#drain()
        })
        this.#watch()
        return
      }
    }
    this.#draining = false
    if (this.#closed) return
    // An owner hears of it too when nothing fits in and nothing will soon: what it has left is for other processes.
    if (this.#localWaiting === 0 && (this.room() > 0 || this.isBusy()))
      for (const owner of this.#owners.values()) owner.roomAgain()
    if (this.wanted > 0) this.onSlot()
    this.#watch()
  }

  #startNext(): boolean {
    const fromQueue = (this.#turn & 3) === 3
    if (this.#receivedWaiting > 0 && (fromQueue || this.#localWaiting === 0)) {
      this.#turn++
      const item = this.#received[this.#receivedAt]!
      this.#received[this.#receivedAt++] = undefined as never
      if (this.#receivedAt === this.#received.length) {
        this.#received = []
        this.#receivedAt = 0
      }
      this.#start(item.task, item.message, undefined, item)
      return true
    }
    if (this.#localWaiting === 0) return false
    // The slot is kept for the queues, unless they are known to be empty.
    if (fromQueue && this.#active === this.concurrency - 1 && this.queuesMayHaveMore()) return false
    this.#turn++
    const item = this.#local[this.#localAt]!
    this.#local[this.#localAt++] = undefined as never
    if (this.#localAt === this.#local.length) {
      this.#local = []
      this.#localAt = 0
    }
    this.#startLocal(item)
    return true
  }

  #startLocal(item: LocalItem): void {
    const { dispatch } = item
    const { id, run, path, attempt, resends, step, input, args, state } = dispatch
    // In the order of those that come from queues: objects of one shape are read faster.
    const message: TaskMessage = {
      type: 'task',
      id,
      run,
      path,
      attempt,
      task: step.task,
      resends,
      sentAt: 0,
      options: taskOptions(dispatch),
      input: step.open === 1 ? input : NONE,
      args: argsBesideText(args),
      argsText: textOfArgs(args),
      state,
    }
    this.#start(this.#tasks.find(step.task)!, message, item, undefined)
  }

  /** Either an owner has handed it over, or it was received. */
  #start(task: AnyTask, message: TaskMessage, local: LocalItem | undefined, received: Received | undefined): void {
    if (this.#cancelled.size > 0 && this.#cancelled.has(message.run) && !isFinal(message))
      return this.#revoke(task, message, local, received)
    const since = this.#clockedAt
    const running = this.#runner.take(task, message)
    this.#active++
    const finished = this.#runner.run(task, running)
    this.#clockedAt = this.#clock.monotonic()
    if (finished instanceof Promise)
      return this.#reportLater(finished, { running, since, local, received, abandoned: false })
    this.#ended(this.#clockedAt - since, message, finished)
    this.#report(message, local, received, finished)
  }

  #revoke(task: AnyTask, message: TaskMessage, local: LocalItem | undefined, received: Received | undefined): void {
    const announced = this.#runner.revoked(task, message)
    const report = (): void => this.#report(message, local, received, CANCELLED)
    if (announced === undefined) report()
    else void announced.then(report)
    this.#clockedAt = this.#clock.monotonic()
  }

  /** Only what is still running when the code at hand has ended can be asked for. */
  #reportLater(finished: Promise<Finished | typeof UNFINISHED>, entry: Running): void {
    const { running, since, local, received } = entry
    const { message } = running
    const key = keyOf(message)
    this.#running.set(key, entry)
    void finished.then((how) => {
      if (this.#running.get(key) === entry) this.#running.delete(key)
      this.#ended(this.#clock.monotonic() - since, message, how)
      if (how === UNFINISHED) {
        if (!entry.abandoned) this.#giveBack(entry)
      } else if (!entry.abandoned || !isFailure(how.value)) this.#report(message, local, received, how)
      if (this.#active === 0) this.#onIdle?.()
      this.#drain()
    })
  }

  /** To who handed it over, or to the queue that it came from. */
  #report(
    message: TaskMessage,
    local: LocalItem | undefined,
    received: Received | undefined,
    finished: Finished,
  ): void {
    if (local === undefined) return received!.done(finished)
    const owner = this.#owners.get(local.partition)
    const outcome = outcomeOf(message, finished)
    if (owner === undefined) this.toInbox([outcome])
    else owner.outcome(outcome, this.#active === 0 && this.#localWaiting === 0 && this.#receivedWaiting === 0)
  }

  #ended(tookMs: number, message: TaskMessage, how: Finished | typeof UNFINISHED): void {
    this.#active--
    this.#stalled = false
    this.#averageMs += (tookMs - this.#averageMs) / 32
    // A failure may be that of a task that was told to stop; and a lone task's is settled with its lease, which another may have by now.
    if (tookMs >= this.#leaseMs && how !== UNFINISHED && !isFailure(how.value)) this.rememberEnded(message)
  }

  // ---- Giving back --------------------------------------------------------------------------------------------------

  /** While something waits for a slot, looks now and then whether it has waited for too long. */
  #watch(): void {
    if (this.#watching || this.#closed || (this.#localWaiting === 0 && this.#receivedWaiting === 0)) return
    this.#watching = true
    const localAt = this.#localSince
    const turn = this.#turn
    this.#clock.after(
      TOO_LONG_MS,
      () => {
        this.#watching = false
        // Nothing was started in all that time: what waits would wait on.
        if (this.#turn === turn && this.#localSince === localAt) {
          this.#stalled = true
          this.#giveBackLocal()
          this.#giveBackReceived()
        } else if (this.#averageMs > SOON_MS && this.#active >= this.concurrency) {
          this.#giveBackLocal()
        }
        this.#watch()
      },
      { unref: true },
    )
  }

  /** It had a slot, and others are to run it. */
  #giveBack({ local, received }: Running): void {
    received?.giveBack()
    if (local === undefined) return
    const owner = this.#owners.get(local.partition)
    if (owner === undefined) this.#onOrphanAbandoned(local.dispatch)
    else owner.requeue([local.dispatch])
  }

  #takeBack(which: (item: LocalItem) => boolean): Dispatch[] {
    const taken: Dispatch[] = []
    const kept: LocalItem[] = []
    for (let at = this.#localAt; at < this.#local.length; at++) {
      const item = this.#local[at]!
      if (which(item)) taken.push(item.dispatch)
      else kept.push(item)
    }
    this.#local = kept
    this.#localAt = 0
    return taken
  }

  #giveBackLocal(): void {
    if (this.#localWaiting === 0) return
    for (const owner of this.#owners.values()) {
      const dispatches = this.#takeBack((item) => item.partition === owner.partition)
      if (dispatches.length > 0) owner.requeue(dispatches)
    }
  }

  #giveBackReceived(): void {
    const items = this.#received.slice(this.#receivedAt)
    this.#received = []
    this.#receivedAt = 0
    for (const item of items) item.giveBack()
  }
}

/** The finally of a cancelled pipeline runs. */
const isFinal = ({ options }: TaskMessage): boolean => options.final === 1

/** What a worker reports of a task. */
export function outcomeOf({ id, run, path, attempt }: TaskMessage, finished: Finished): Outcome {
  const { value, verdict, state, last } = finished
  if (last !== undefined) {
    const { at, passed } = last
    return { id, run, ...at, value, ...(verdict && { verdict }), ...(state && { state }), passed }
  }
  if (state !== undefined) return { id, run, path, attempt, value, state }
  return verdict === undefined ? { id, run, path, attempt, value } : { id, run, path, attempt, value, verdict }
}

const keyOf = (entry: EntryName): string => `${entry.run}${entry.id}${entry.path}#${entry.attempt}`
