// Runs one task: decode → check → call → encode. Everything that can go wrong with it becomes its outcome; nothing escapes. Only trouble with the
// transport is not the task's: what is fetched and stored apart is tried again, and at last the task is left for others, uncounted.
// It stays synchronous for a function that is: a promise per task is a tenth of what a small one costs. What needs a closure is in a method of its own: where
// one may be made, its variables are put into an object at each call.
import { sleep } from '../clock'
import { runInContext } from '../context'
import { decodeArguments, decodeArgumentsText } from '../decoding'
import type { ArgsData, Step } from '../definition'
import { argsBesideText, EACH_TASK, taskOptions, textOfArgs } from '../engine/dispatch'
import { entryPath, splitEntry } from '../engine/paths'
import { blobPrefix } from '../engine/row-keys'
import { RetryAfterError, TaskError, TaskVetoError } from '../errors'
import { encodeFailure, toFailure } from '../failure'
import { packPipeline } from '../packing'
import { isPipeline, type Submittable } from '../pipeline'
import { isRetryable, type RetryData } from '../retry'
import { validateArguments, validateState } from '../schema'
import { isSpread } from '../spread'
import { asBuffer } from '../record'
import { isThenable } from '../thenable'
import type { AnyTask } from '../tasks'
import { isFailure, Kind, NONE, type Value } from '../value'
import { encodeDefinitionValue, type PackedDefinition } from '../wire/packed-definition'
import type { Following, TaskMessage } from '../wire/task-message'
import type { PassedEntry } from '../wire/inbox-message'
import type { Announced, Announcer } from './announcer'
import { groupForEach } from './built-in-tasks'
import { UNFINISHED, type Finished } from './finished'
import { RunningTask, type Surroundings } from './running-task'
import type { TaskEnd, TaskHookList } from './task-hooks'
import type { TaskSource } from './task-source'

/** How often the transport is asked for a value, or to take one; from the second time on with a pause before. */
const TRIES = 7
const FIRST_PAUSE_MS = 50

/** Thrown and caught here. */
class Unfinished extends Error {}

export interface RunnerOptions extends Surroundings {
  readonly tasks: TaskSource
  readonly hooks?: TaskHookList | undefined
  readonly announcer?: Announcer | undefined
}

export class Runner {
  readonly #options: RunnerOptions

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  /** What the worker keeps of a task while it runs. */
  take(task: AnyTask, message: TaskMessage): RunningTask {
    return new RunningTask(message, message.options.timeoutMs ?? task.options.timeoutMs, this.#options)
  }

  run(task: AnyTask, running: RunningTask): Finished | Promise<Finished | typeof UNFINISHED> {
    const { following } = running.message.options
    const finished = this.#run(task, running)
    return following === undefined ? finished : this.#withFollowing(task, running, finished, following)
  }

  #run(task: AnyTask, running: RunningTask): Finished | Promise<Finished | typeof UNFINISHED> {
    if (running.message.task === EACH_TASK) return this.#settle(task, running, this.#each(running))
    const { hooks, announcer } = this.#options
    if (announcer !== undefined || hooks?.any === true) return this.#observed(task, running)
    try {
      const args = this.#argumentsOf(task, running)
      if (args instanceof Promise) return this.#settle(task, running, this.#callLater(task, running, args))
      const result = this.#call(task, running, args)
      if (isThenable(result)) return this.#settle(task, running, this.#encodeLater(running, result))
      const value = this.#encode(running, result)
      return value instanceof Promise ? this.#settle(task, running, value) : running.finished(value)
    } catch (error) {
      return failed(task, running, error, this.#options.values.limits.inlineBytes)
    }
  }

  async #callLater(task: AnyTask, running: RunningTask, args: Promise<unknown[]>): Promise<Value> {
    return this.#encode(running, await this.#call(task, running, await args))
  }

  async #encodeLater(running: RunningTask, result: PromiseLike<unknown>): Promise<Value> {
    return this.#encode(running, await result)
  }

  /** What follows runs at once, with what the task before it gave, as far as it can. */
  async #withFollowing(
    task: AnyTask,
    first: RunningTask,
    finishing: ReturnType<Runner['run']>,
    following: readonly Following[],
  ): Promise<Finished | typeof UNFINISHED> {
    let running = first
    let finished = await finishing
    const passed: PassedEntry[] = []
    for (const [index, step, args] of following) {
      if (finished === UNFINISHED) return finished
      const next = this.#options.tasks.find(step.task)
      if (next === undefined || first.isAborted || !isPassedOn(finished)) break
      const { path, attempt } = running.message
      passed.push({ path, attempt, value: finished.value })
      running = this.take(next, messageAfter(running.message, index, step, args, finished.value))
      first.goesOnAs(running)
      finished = await this.#run(next, running)
    }
    if (finished === UNFINISHED) return finished
    try {
      return await this.#stored(running, finished, passed)
    } catch (error) {
      if (error instanceof Unfinished) return UNFINISHED
      // One of the results cannot be stored: nothing of it has happened.
      return failed(task, first, error, this.#options.values.limits.inlineBytes)
    }
  }

  /** What is needed again: what the last one gave, or, if it failed, what it was given. */
  async #stored(running: RunningTask, finished: Finished, passed: readonly PassedEntry[]): Promise<Finished> {
    const hasFailed = isFailure(finished.value)
    const value = hasFailed ? finished.value : await this.#store(running, finished.value)
    const before: PassedEntry[] = []
    for (const [at, one] of passed.entries()) {
      const isNeeded = hasFailed && at === passed.length - 1
      before.push({ ...one, value: isNeeded ? await this.#store(running, one.value) : NONE })
    }
    const { path, attempt } = running.message
    return before.length === 0
      ? { ...finished, value }
      : { ...finished, value, last: { at: { path, attempt }, passed: before } }
  }

  /** The same, with handlers of the program called at each step, and each step announced. What was announced is durable by its end, if it is to be. */
  async #observed(task: AnyTask, running: RunningTask): Promise<Finished | typeof UNFINISHED> {
    const { announcer } = this.#options
    const announced = announcer?.started(running, policyOf(task, running))
    const finished = await this.#stepByStep(task, running, announced)
    if (announcer?.durable === true) await announcer.stored()
    return finished
  }

  async #stepByStep(
    task: AnyTask,
    running: RunningTask,
    announced: Announced | undefined,
  ): Promise<Finished | typeof UNFINISHED> {
    const { logger, values } = this.#options
    const hooks = this.#options.hooks?.any === true ? this.#options.hooks : undefined
    const context = running
    const asFailed = (error: unknown): Finished => failed(task, running, error, values.limits.inlineBytes)
    let end: TaskEnd
    let finished: Finished
    // What was vetoed before its function was called has not run.
    let hasRun = false
    let hasReturned = false
    let isAnnounced = true
    try {
      if (hooks !== undefined) await hooks.call('taskReceived', { context }, logger)
      const asked = this.#argumentsOf(task, running)
      const args = asked instanceof Promise ? await asked : asked
      if (hooks !== undefined) await hooks.call('taskStarted', { context, args }, logger)
      hasRun = true
      const returned = this.#call(task, running, args)
      const result: unknown = isThenable(returned) ? await returned : returned
      hasReturned = true
      const value = this.#encode(running, result)
      finished = running.finished(value instanceof Promise ? await value : value)
      end = { result, isPipeline: isPipeline(result) }
      announced?.finished()
    } catch (error) {
      if (error instanceof Unfinished) {
        if (hasReturned) announced?.notStored(error.cause)
        else announced?.notFetched(error.cause)
        return UNFINISHED
      }
      finished = asFailed(error)
      end = { error, isPipeline: false }
      if (hasReturned) announced?.notStored(error)
      // To be called again later is no error, as long as that may be.
      else if (RetryAfterError.is(error) && willRetry(task, running, finished)) isAnnounced = false
      else announced?.failed(error)
    }
    try {
      if (hooks !== undefined && (hasRun || !TaskVetoError.is(end.error)))
        await hooks.call('taskFinished', { context, ...end }, logger)
      if (end.error !== undefined && willRetry(task, running, finished)) {
        await hooks?.call('taskRetry', { context, error: end.error, retryCount: running.attempt }, logger)
        announced?.retrying()
        return finished
      }
    } catch (error) {
      // A veto of what has failed already is no second failure.
      if (end.error === undefined || !isAnnounced) announced?.failed(error)
      finished = asFailed(error)
      end = { error, isPipeline: false }
    }
    if (hooks !== undefined && !end.isPipeline) await hooks.call('emitResult', { context, ...end }, logger)
    return finished
  }

  /** A task of a pipeline that was cancelled before it began. Resolves when that was announced, if anybody is to wait for it. */
  revoked(task: AnyTask, message: TaskMessage): Promise<void> | undefined {
    const { announcer } = this.#options
    if (announcer === undefined) return undefined
    const running = this.take(task, message)
    announcer.revoked(running, policyOf(task, running))
    return announcer.stored()
  }

  async #settle(task: AnyTask, running: RunningTask, value: PromiseLike<Value>): Promise<Finished | typeof UNFINISHED> {
    try {
      return running.finished(await value)
    } catch (error) {
      if (error instanceof Unfinished) return UNFINISHED
      return failed(task, running, error, this.#options.values.limits.inlineBytes)
    }
  }

  #argumentsOf(task: AnyTask, running: RunningTask): unknown[] | Promise<unknown[]> {
    const { message } = running
    const { input, args } = message
    // What is decoded from one message needs no I/O, mostly.
    if (input.kind !== Kind.reference && input.kind !== Kind.set && args.kind !== Kind.reference)
      return this.#checked(task, running, input, args)
    return this.#fetched(task, running, input, args)
  }

  #fetched(task: AnyTask, running: RunningTask, input: Value, args: Value): unknown[] | Promise<unknown[]> {
    const { message } = running
    const { values } = this.#options
    const prefix = message.run === '' ? '' : blobPrefix(message.id, message.run)
    const up = values.fetch(prefix, input)
    const own = values.fetch(prefix, args)
    if (!(up instanceof Promise) && !(own instanceof Promise)) return this.#checked(task, running, up, own)
    let fetched: Promise<[Value, Value]> | undefined = Promise.all([up, own])
    const fetch = (): Promise<[Value, Value]> => {
      const first = fetched ?? Promise.all([values.fetch(prefix, input), values.fetch(prefix, args)])
      fetched = undefined
      return first
    }
    return this.#patiently(running, fetch).then(([upstream, list]) => this.#checked(task, running, upstream, list))
  }

  /** Asks the transport again while it is in trouble. */
  async #patiently<T>(running: RunningTask, ask: () => Promise<T>): Promise<T> {
    const { clock, logger } = this.#options
    for (let tries = 1; ; tries++) {
      try {
        return await ask()
      } catch (error) {
        if (!isTransportTrouble(error)) throw error
        if (tries === TRIES || running.isAborted || error.code === 'TASKS_CLOSED') {
          logger.warn({ task: running.taskName, id: running.taskId, error }, 'a task is left for others')
          throw new Unfinished('the transport is in trouble', { cause: error })
        }
        await sleep(clock, FIRST_PAUSE_MS * 2 ** (tries - 1) * (0.5 + clock.random() / 2), running.signal)
      }
    }
  }

  #checked(task: AnyTask, running: RunningTask, input: Value, args: Value): unknown[] | Promise<unknown[]> {
    const { codec } = this.#options
    const upstream = input.kind === Kind.none ? undefined : decodeArguments(codec, input)
    const { argsText } = running.message
    const own = argsText === undefined ? decodeArguments(codec, args) : decodeArgumentsText(codec, argsText)
    // The upstream result first, then the entry's own arguments.
    const list = upstream === undefined ? own : own.length === 0 ? upstream : [...upstream, ...own]
    const { inputs, state } = task.options
    return inputs === undefined && state === undefined ? list : this.#validated(task, running, list)
  }

  #validated(task: AnyTask, running: RunningTask, list: unknown[]): unknown[] | Promise<unknown[]> {
    const { inputs, state } = task.options
    const { taskName } = running
    const check = (): unknown[] | Promise<unknown[]> =>
      inputs === undefined ? list : validateArguments(inputs, list, taskName)
    const known = state === undefined ? undefined : validateState(state, running.state.get(), taskName)
    return known === undefined ? check() : known.then(check)
  }

  #call(task: AnyTask, running: RunningTask, args: readonly unknown[]): unknown {
    const { timeoutMs } = running
    if (timeoutMs === undefined) return runInContext(running, callWith, task, args)
    const now = this.#options.clock.now()
    running.deadline = task.deadlineOf?.(args, running) ?? now + timeoutMs
    const leftMs = Math.max(0, running.deadline - now)
    const result: unknown = runInContext(running, callWith, task, args)
    return isThenable(result) ? this.#withTimeout(running, leftMs, result) : result
  }

  /** The function is not stopped, only no longer waited for: its signal tells it. */
  #withTimeout(running: RunningTask, leftMs: number, result: PromiseLike<unknown>): Promise<unknown> {
    const { clock } = this.#options
    return new Promise((resolve, reject) => {
      const cancel = clock.after(leftMs, () => {
        const error = new TaskError(
          'TASKS_TIMEOUT',
          `the task "${running.taskName}" did not end within ${running.timeoutMs} ms`,
        )
        running.abort(error)
        reject(error)
      })
      result.then(resolve, reject).then(cancel, cancel)
    })
  }

  async #each(running: RunningTask): Promise<Value> {
    const { codec, values } = this.#options
    const { id, run, input, args, argsText } = running.message
    const fetch = (value: Value): Promise<Value> =>
      this.#patiently(running, async () => values.fetch(blobPrefix(id, run), value))
    return this.#encode(running, await groupForEach(input, argsText ?? asBuffer(args.bytes).toString(), codec, fetch))
  }

  #encode(running: RunningTask, result: unknown): Value | Promise<Value> {
    if (result === undefined) return NONE
    const { codec } = this.#options
    const { message } = running
    if (isPipeline(result)) {
      if (message.run === '') {
        throw new TaskError(
          'TASKS_UNSUPPORTED',
          `the lone task "${message.task}" returned a pipeline: submit it as a pipeline instead of enqueueing it`,
        )
      }
      return this.#pack(running, result)
    }
    const spread = isSpread(result)
    const value: Value = spread
      ? { kind: Kind.spread, bytes: codec.encode(result.values) }
      : { kind: Kind.one, bytes: codec.encode(result) }
    // What another may go on with here is stored later, if at all.
    return message.options.following === undefined ? this.#store(running, value) : value
  }

  async #pack(running: RunningTask, pipeline: Submittable<unknown, never>): Promise<Value> {
    const { codec, values, space } = this.#options
    const { id, run } = running.message
    const pack = (): Promise<PackedDefinition> => packPipeline(pipeline, codec, space, values, blobPrefix(id, run))
    return { kind: Kind.pipeline, bytes: encodeDefinitionValue(await this.#patiently(running, pack)) }
  }

  #store(running: RunningTask, value: Value): Value | Promise<Value> {
    return value.bytes.length <= this.#options.values.limits.inlineBytes ? value : this.#storeApart(running, value)
  }

  #storeApart(running: RunningTask, value: Value): Promise<Value> {
    const { values } = this.#options
    const { message } = running
    const what = `the result of the task "${message.task}"`
    return this.#patiently(running, async () =>
      message.run === ''
        ? values.storeAlone(value, what)
        : values.store(blobPrefix(message.id, message.run), value, what),
    )
  }
}

const callWith = (task: AnyTask, args: readonly unknown[]): unknown => task.fn(...args)

/** A result of its own, and nothing beside it. */
const isPassedOn = ({ value: { kind }, state }: Finished): boolean =>
  state === undefined && (kind === Kind.one || kind === Kind.spread || kind === Kind.none)

/** What the task of a following entry is told. */
function messageAfter(
  { id, run, path, sentAt, options: { meta, following }, state }: TaskMessage,
  index: number,
  step: Step,
  args: ArgsData | undefined,
  input: Value,
): TaskMessage {
  const rest = following?.slice(1)
  return {
    type: 'task',
    id,
    run,
    path: entryPath(splitEntry(path)!.chain, index),
    attempt: 1,
    task: step.task,
    resends: 0,
    sentAt,
    options: taskOptions({ step, meta, final: false, following: rest?.length === 0 ? undefined : rest }),
    input: step.open === 1 ? input : NONE,
    args: argsBesideText(args),
    argsText: textOfArgs(args),
    state,
  }
}

function failed(task: AnyTask, running: RunningTask, error: unknown, maxBytes: number): Finished {
  const { message } = running
  const failure = toFailure(error, { name: message.task, id: running.taskId, attempt: message.attempt })
  return {
    value: { kind: Kind.error, bytes: encodeFailure(failure, maxBytes) },
    verdict: {
      retryable: isRetryable(error, task.options.retry),
      ...(RetryAfterError.is(error) ? { retryAfterMs: error.delayMs } : {}),
      ...(message.options.retry === undefined && task.retryData !== undefined ? { retry: task.retryData } : {}),
    },
  }
}

/** Whether its owner is going to try it again, as far as can be known here. */
function willRetry(task: AnyTask, running: RunningTask, { verdict }: Finished): boolean {
  const retry = policyOf(task, running)
  return verdict?.retryable === true && retry !== undefined && running.attempt <= retry.maxRetries
}

function policyOf({ retryData }: AnyTask, { message }: RunningTask): RetryData | undefined {
  return message.options.retry ?? retryData
}

function isTransportTrouble(error: unknown): error is TaskError {
  return TaskError.is(error) && (error.code === 'TASKS_UNAVAILABLE' || error.code === 'TASKS_CLOSED')
}
