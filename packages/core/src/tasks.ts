// The registry: which functions this program knows by which names. One per namespace and program; workers and clients take it.
import type { TaskContext } from './context'
import { TaskError } from './errors'
import { checkNamespace, checkTaskName } from './ids'
import { makeTask, isPipeline, taskRefOf, type Flat, type Pipeline, type Submittable, type Task } from './pipeline'
import { badOption } from './option-checks'
import { chainsOf, isPlan, isTaskUse, resolveStep, type Plan, type StepOptions, type TaskRef, type Use } from './plan'
import { resolveRetry, type RetryData, type RetryPolicy } from './retry'
import { isStandardSchema } from './schema'
import { DEFAULT_QUEUE, type TaskOptions } from './task-options'
import { bindListener, type EventListener, type ListenerOptions, type TimedListener } from './event-listener'
import { TaskHookList, type TaskHooks } from './worker/task-hooks'

export interface TasksOptions {
  /** What isolates one system from another on the same broker: queues, pipelines, events. 1 to 64 of `A-Z a-z 0-9 . _ -`. */
  readonly namespace: string
  /** For tasks that are bound without a policy. Default: no retries. */
  readonly retry?: RetryPolicy
}

/** What a client can say of a task that is bound elsewhere. Queue and checkpoint must be those that it is bound with. */
export type DeclareOptions = Pick<TaskOptions, 'queue' | 'timeoutMs' | 'displayName' | 'checkpoint'> & {
  /** In place of the policy that the task is bound with. */
  readonly retry?: Omit<RetryPolicy, 'retryFor'>
}

/** A bound task as a worker has it. */
export interface AnyTask {
  readonly taskName: string
  readonly fn: (...args: readonly unknown[]) => unknown
  readonly options: TaskOptions
  /** The part of the policy that is not code; undefined without a policy. */
  readonly retryData: RetryData | undefined
  /** Says from its arguments when its time is over, where that was decided before this attempt; else `timeoutMs` counts from its start. */
  readonly deadlineOf?: (args: readonly unknown[], context: TaskContext) => number | undefined
}

export type FoundTask = AnyTask & Task<readonly unknown[], unknown>

// Not a signature: it would give the parameters of a function their types, and `(n = 1) => …` an unknown one.
type AnyFunction = Function

type ArgsOf<Fn> = Fn extends (...args: infer Args) => unknown ? Args : never

/** What `bind` makes of a function. Of an overloaded one, it has the last signature. */
export type TaskOf<Fn> = Fn extends (...args: infer Args) => infer Result ? Task<Args, Result> : never

export interface Tasks {
  readonly namespace: string

  /**
   * Gives a function a name that workers and clients share. The result can be called as the function itself.
   * @throws TaskError TASKS_DUPLICATE_TASK if the name or an alias is taken, TASKS_ID_INVALID, TASKS_OPTIONS
   */
  bind<Fn extends AnyFunction>(name: string, fn: Fn, options?: TaskOptions<ArgsOf<Fn>>): TaskOf<Fn>

  /**
   * Gives a listener a name: `waitForEvent(listener, ...args)` then waits for an event of its source. Workers of this registry poll for it.
   * @throws TaskError TASKS_DUPLICATE_TASK, TASKS_ID_INVALID, TASKS_ARGUMENTS, TASKS_OPTIONS
   */
  bindListener<Args extends readonly unknown[], Event>(
    name: string,
    listener: EventListener<Args, Event>,
    options?: ListenerOptions,
  ): TimedListener<Args, Event>

  /**
   * Names a task that is bound in another program, so that this one can send it: `tasks.declare<typeof import('./worker').load>('load')`, or the
   * type of a plain function. Calling it throws TASKS_NOT_IMPLEMENTED.
   * @throws TaskError TASKS_DUPLICATE_TASK if it was declared before, TASKS_ID_INVALID, TASKS_OPTIONS
   */
  declare<Fn extends AnyFunction>(name: string, options?: DeclareOptions): TaskOf<Fn>

  /**
   * As `task.send(...)`, and checks that this registry knows the task.
   * @throws TaskError TASKS_UNKNOWN_TASK listing the known names
   */
  send<Args extends readonly unknown[], Result>(task: Task<Args, Result>, ...args: Args): Pipeline<Flat<Result>>

  /**
   * Checks that every task of a pipeline is bound or declared here.
   * @throws TaskError TASKS_UNKNOWN_TASK listing the known names
   */
  assertKnows(pipeline: Submittable<unknown, never>): void

  /** Functions that are called when workers of this registry receive, start and finish tasks. */
  readonly events: TaskHooks

  /** The bound task of this name or alias: what `bind` returned, of whose types nothing is known. */
  find(name: string): FoundTask | undefined
  /** Names of the bound tasks, without aliases, in the order of binding. */
  names(): readonly string[]
  /** Queues of the bound tasks, each once. */
  queues(): readonly string[]
}

/**
 * Makes a registry.
 * @throws TaskError TASKS_ID_INVALID, TASKS_OPTIONS
 */
export function createTasks(options: TasksOptions): Tasks {
  const { namespace, retry, ...others } = options
  for (const name of Object.keys(others))
    throw new TaskError('TASKS_OPTIONS', `createTasks: there is no option "${name}"`)
  if (retry !== undefined) resolveRetry(retry)
  return new Registry(checkNamespace(namespace), retry)
}

class Registry implements Tasks {
  readonly namespace: string
  readonly events: TaskHooks = new TaskHookList()
  readonly #retry: RetryPolicy | undefined
  readonly #bound = new Map<string, FoundTask>()
  readonly #byAlias = new Map<string, FoundTask>()
  readonly #declared = new Set<string>()

  constructor(namespace: string, retry: RetryPolicy | undefined) {
    this.namespace = namespace
    this.#retry = retry
  }

  bind<Fn extends AnyFunction>(name: string, fn: Fn, given: TaskOptions<ArgsOf<Fn>> = {}): TaskOf<Fn> {
    checkTaskName(name)
    if (typeof fn !== 'function') {
      throw new TaskError(
        'TASKS_ARGUMENTS',
        `bind: task "${name}" needs a function, not ${fn === null ? 'null' : typeof fn}`,
      )
    }
    const { retry = this.#retry, aliases = [], inputs, state, checkpoint, largeArguments, ...stepOptions } = given
    const where = `bind: task "${name}"`
    if (inputs !== undefined) checkInputs(where, inputs)
    if (state !== undefined && !isStandardSchema(state))
      throw new TaskError('TASKS_OPTIONS', `${where}: state is not a Standard Schema (version 1)`)
    if (!Array.isArray(aliases)) throw new TaskError('TASKS_OPTIONS', `${where}: aliases must be an array of names`)
    checkNotOfUse(where, stepOptions)
    const retryData = retry && resolveRetry(retry)
    const step = {
      ...resolveStep(where, stepOptions),
      ...(retryData && { retry: retryData }),
      ...unlessTrue(where, 'checkpoint', checkpoint),
      ...unlessTrue(where, 'largeArguments', largeArguments),
    }
    const taken = [name, ...aliases].find(
      (x, i, all) => this.find(checkTaskName(x)) !== undefined || all.indexOf(x) < i,
    )
    if (taken !== undefined) {
      throw new TaskError(
        'TASKS_DUPLICATE_TASK',
        `a task named "${taken}" is already bound in namespace "${this.namespace}"`,
      )
    }
    const task = named(fn.name || name, fn.length, function (this: unknown, ...args: unknown[]): unknown {
      return Reflect.apply(fn, this, args)
    })
    const options: TaskOptions = Object.freeze({
      ...given,
      queue: step.queue ?? DEFAULT_QUEUE,
      ...(retry && { retry }),
    })
    makeTask(task, { name, step })
    Object.defineProperties(task, {
      options: { value: options, enumerable: true },
      retryData: { value: retryData },
      fn: { value: fn },
    })
    const bound = task as unknown as FoundTask
    this.#bound.set(name, bound)
    for (const alias of aliases) this.#byAlias.set(alias, bound)
    return task as unknown as TaskOf<Fn>
  }

  bindListener<Args extends readonly unknown[], Event>(
    name: string,
    listener: EventListener<Args, Event>,
    options?: ListenerOptions,
  ): TimedListener<Args, Event> {
    return bindListener(this, name, listener, options)
  }

  declare<Fn extends AnyFunction>(name: string, options: DeclareOptions = {}): TaskOf<Fn> {
    checkTaskName(name)
    if (this.#declared.has(name)) {
      throw new TaskError(
        'TASKS_DUPLICATE_TASK',
        `a task named "${name}" is already declared in namespace "${this.namespace}"`,
      )
    }
    const where = `declare: task "${name}"`
    const { checkpoint, ...stepOptions } = options
    checkNotOfUse(where, stepOptions)
    const step = { ...resolveStep(where, stepOptions), ...unlessTrue(where, 'checkpoint', checkpoint) }
    const stub = named(name, 0, (): never => {
      throw new TaskError(
        'TASKS_NOT_IMPLEMENTED',
        `task "${name}" is only declared here and cannot be called; send it, or import the module that binds it`,
      )
    })
    makeTask(stub, { name, step })
    Object.defineProperty(stub, 'options', { value: Object.freeze({ ...options }), enumerable: true })
    this.#declared.add(name)
    return stub as unknown as TaskOf<Fn>
  }

  send<Args extends readonly unknown[], Result>(task: Task<Args, Result>, ...args: Args): Pipeline<Flat<Result>> {
    const ref = taskRefOf(task)
    if (ref === undefined) throw new TaskError('TASKS_ARGUMENTS', 'send: the first argument must be a task')
    this.#assertKnows(ref)
    return task.send(...args)
  }

  assertKnows(pipeline: Submittable<unknown, never>): void {
    if (!isPipeline(pipeline) || !isPlan(pipeline))
      throw new TaskError('TASKS_ARGUMENTS', 'assertKnows: a pipeline is needed')
    for (const ref of tasksOf(pipeline)) this.#assertKnows(ref)
  }

  #assertKnows({ name }: TaskRef): void {
    if (this.find(name) !== undefined || this.#declared.has(name)) return
    const known = [...new Set([...this.#bound.keys(), ...this.#declared])]
    throw new TaskError(
      'TASKS_UNKNOWN_TASK',
      `no task named "${name}" is registered in namespace "${this.namespace}"; known: ${known.join(', ') || 'none'}`,
    )
  }

  find(name: string): FoundTask | undefined {
    return this.#bound.get(name) ?? this.#byAlias.get(name)
  }

  names(): readonly string[] {
    return [...this.#bound.keys()]
  }

  queues(): readonly string[] {
    return [...new Set(Array.from(this.#bound.values(), ({ options }) => options.queue ?? DEFAULT_QUEUE))]
  }
}

function checkNotOfUse(where: string, options: object): void {
  for (const option of ['priority', 'taskId']) {
    if (option in options) throw new TaskError('TASKS_OPTIONS', `${where}: there is no option "${option}"; use set()`)
  }
}

function unlessTrue<Option extends 'checkpoint' | 'largeArguments'>(
  where: string,
  option: Option,
  value: unknown,
): Pick<StepOptions, Option> {
  if (value !== undefined && typeof value !== 'boolean') throw badOption(`${where}: ${option}`, 'a boolean', value)
  return (value === false ? { [option]: value } : {}) as Pick<StepOptions, Option>
}

function checkInputs(where: string, inputs: unknown): void {
  if (!Array.isArray(inputs))
    throw new TaskError('TASKS_OPTIONS', `${where}: inputs must be an array with a schema for each argument`)
  for (const [i, schema] of (inputs as readonly unknown[]).entries()) {
    if (schema !== undefined && !isStandardSchema(schema)) {
      throw new TaskError('TASKS_OPTIONS', `${where}: inputs[${i}] is not a Standard Schema (version 1)`)
    }
  }
}

function named<Fn extends (...args: never) => unknown>(name: string, length: number, fn: Fn): Fn {
  return Object.defineProperties(fn, {
    name: { value: name, configurable: true },
    length: { value: length, configurable: true },
  })
}

/** The tasks of a pipeline, each once. */
function tasksOf(plan: Plan): ReadonlySet<TaskRef> {
  const tasks = new Set<TaskRef>()
  if (plan.whole?.finally !== undefined) tasks.add(plan.whole.finally.task)
  // A group that is used twice is looked at once.
  const seen = new Set<Use>()
  const left: Plan[] = [plan]
  for (let chain = left.pop(); chain !== undefined; chain = left.pop()) {
    for (let at: Plan | undefined = chain; at !== undefined; at = at.before) {
      const { use } = at
      if (isTaskUse(use)) tasks.add(use.task)
      else if (!seen.has(use)) {
        seen.add(use)
        for (const inner of chainsOf(use)) left.push(inner)
      }
    }
  }
  return tasks
}
