// How work is described. A pipeline is a value: nothing is sent by making one, it is never changed, and it may be used twice.
import { toMermaid, toText, type DrawOptions } from './draw'
import { encodeDefinition } from './definition-encoder'
import type { Definition } from './definition'
import { TaskError } from './errors'
import { jsonCodec } from './json-codec'
import { badOption, checkKeys } from './option-checks'
import type {
  AfterIn,
  HandlerFits,
  InitialArgs,
  IsPassedOn,
  LastOf,
  PassedOn,
  PipelineFits,
  Plain,
  RestAfter,
  TaskFits,
} from './passing'
import {
  entriesOf,
  isEventUse,
  isGroupUse,
  isPlan,
  isSleepUse,
  isTaskUse,
  MAX_TIME,
  Plan,
  resolveStep,
  whatIs,
  type ParallelOptions,
  type TaskRef,
  type TaskUse,
  type Use,
  type Whole,
} from './plan'
import type { RetryPolicy } from './retry'
import { checkStateKey } from './state'
import type { TaskOptions } from './task-options'

// Only types have these: they carry what a pipeline takes and gives.
declare const OUT: unique symbol
declare const IN: unique symbol
declare const ARGS: unique symbol
declare const FINAL: unique symbol

/** A description of work that can be run: submitted, or returned from a task. */
export interface Submittable<out Out = unknown, in In = unknown> {
  readonly [OUT]: Out
  readonly [IN]: (upstream: In) => void

  /**
   * Changes how the last task is run here, whatever it was bound with. A second `set` adds to the first.
   * @throws TaskError TASKS_ARGUMENTS if the last entry is no task; TASKS_OPTIONS naming the option and the value
   */
  set(options: UseOptions): this

  /**
   * What the pipeline begins with: `args` go to the first entry (to each first one of a group) as if they came from upstream, and `state` is what
   * `taskContext().state` has. Such a pipeline can go on, and be no part of another.
   * @throws TaskError TASKS_ARGUMENTS
   */
  withInitial<O, I, Args extends InitialArgs<I>>(this: Submittable<O, I>, initial: Initial<Args>): Submittable<O, void>

  /**
   * For a pipeline that a task returns: it has the state of the pipeline that the task is part of, and leaves its own there. Without it, it
   * begins with a state of its own, which ends with it. A pipeline that is submitted has none to share.
   */
  inline(): this

  /** The definition as JSON, version 1, on one page. Arguments are encoded by the default codec. */
  toJSON(): Definition
  /** A Mermaid flowchart. */
  toMermaid(options?: DrawOptions): string
  /** A tree for a terminal. */
  toText(options?: DrawOptions): string
}

/**
 * A description of work that gives `Out` and takes `In` from upstream: `unknown` if it takes nothing, `void` among the
 * types if it can do without. `Pipeline<unknown, never>` is any pipeline; `Pipeline<Out, void>` one that can be submitted.
 */
export interface Pipeline<out Out = unknown, in In = unknown> extends Submittable<Out, In> {
  /**
   * Continues with a task, which gets the result as its first argument and then `rest`; or with all entries of a pipeline. A result of several
   * values (`spread`) takes as many parameters; a task whose result is void passes nothing on.
   * @throws TaskError TASKS_ARGUMENTS if `next` is neither, or a pipeline is given `rest`; TASKS_DEFINITION_TOO_LARGE above 10 000 entries
   */
  continueWith<O, I, N>(
    this: Pipeline<O, I>,
    next: N extends Next<O, N> ? N : Next<O, N>,
    ...rest: Rest<O, N>
  ): Pipeline<OutAfter<O, N>, InAfter<O, I, N>>

  /**
   * As `continueWith` if the condition holds, which is known now; else nothing. To decide by a result, let a task return a pipeline.
   * @throws TaskError as `continueWith`
   */
  continueIf<O, I, N>(
    this: Pipeline<O, I>,
    condition: boolean,
    next: N extends Next<O, N> ? N : Next<O, N>,
    ...rest: Rest<O, N>
  ): Pipeline<O | OutAfter<O, N>, InAfter<O, I, N>>

  /**
   * Handles a failure of the entries before it: those between the one that failed and this one are skipped, and the task gets the error as its
   * first argument and then `rest`. The pipeline goes on with what it returns; if it throws, the next handler gets that error. Without a
   * failure it is skipped. In a chain of a group, it handles the failures of that chain.
   * @throws TaskError TASKS_ARGUMENTS if `handler` is no task
   */
  exceptionally<O, I, N>(
    this: Pipeline<O, I>,
    handler: N extends Handler<N> ? N : Handler<N>,
    ...rest: Rest<TaskError, N>
  ): Pipeline<O | OutOf<N>, I>

  /**
   * Runs a task at the end, after success, failure or cancellation, with these arguments alone. Its result is dropped; its error takes the place
   * of a success. Nothing comes after it, and the whole can be no part of another pipeline.
   * @throws TaskError TASKS_ARGUMENTS if it is no task
   */
  finallyDo<O, I, N>(
    this: Pipeline<O, I>,
    task: N extends Last<N> ? N : Last<N>,
    ...args: ParametersOf<N>
  ): FinalPipeline<O, I>

  /** Pauses the pipeline when the last entry has ended, until it is resumed. */
  pauseAfter(): this

  withInitial<O, I, Args extends InitialArgs<I>>(this: Pipeline<O, I>, initial: Initial<Args>): Pipeline<O, void>
}

/** A pipeline that ends with `finallyDo`: it can be submitted, or returned from a task. Nothing comes after it. */
export interface FinalPipeline<out Out = unknown, in In = unknown> extends Submittable<Out, In> {
  readonly [FINAL]: true
  withInitial<O, I, Args extends InitialArgs<I>>(
    this: FinalPipeline<O, I>,
    initial: Initial<Args>,
  ): FinalPipeline<O, void>
}

/** What a pipeline begins with. */
export interface Initial<Args = readonly unknown[]> {
  /** As many values as the first entry takes from upstream. */
  readonly args?: Args
  /** A plain object. */
  readonly state?: Readonly<Record<string, unknown>>
}

/** A function that was bound to a name. Calling it calls the function, here and now. */
export interface Task<in Args extends readonly unknown[], out Result> {
  (...args: Args): Result
  readonly [ARGS]: (args: Args) => void
  readonly [OUT]: Flat<Result>
  readonly taskName: string
  readonly options: TaskOptions

  /**
   * Describes a run of the task with all its arguments: a pipeline of one entry, which takes nothing from upstream. Sends nothing.
   * The arguments are encoded when the pipeline is submitted or returned: do not change them before.
   */
  send(...args: Args): Pipeline<Flat<Result>>

  /** Describes a run of the task that takes the upstream result as its first argument, and these as the others. */
  after<A extends readonly unknown[], R, Own extends readonly unknown[]>(
    this: Task<A, R>,
    ...own: Own & LastOf<A, Own['length']>
  ): Pipeline<Flat<R>, AfterIn<A, Own>>
}

/** What may stand in a group. */
export type Composable = Pipeline<unknown, never> | Task<never, unknown>

/** The result of a task as the next one sees it: promises are awaited, a returned pipeline is its result. */
export type Flat<Result> =
  Awaited<Result> extends infer Value ? (Value extends Described<infer Out> ? Out : Value) : never

/** Any pipeline: it has what no value has. */
interface Described<Out> {
  readonly [OUT]: Out
  readonly [IN]: (upstream: never) => void
}

/** What a client gets as the result of a pipeline or task: `await run.result()`. */
export type ResultOf<P> = Plain<OutAfter<void, P>>

type OutOf<N> = N extends { readonly [OUT]: infer Out } ? Out : never

/** What an entry of a group takes from upstream. A bare task is its `after()`. */
type InOf<N> = N extends { readonly [IN]: (upstream: infer In) => void }
  ? In
  : N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void }
    ? AfterIn<Args, []>
    : never

type ParametersOf<N> = N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void } ? Args : []

type Next<Out, N> = N extends { readonly [FINAL]: true }
  ? 'this pipeline ends with finallyDo: submit it, or return it from a task; it can be no part of another'
  : N extends { readonly [IN]: (upstream: infer In) => void }
    ? PipelineFits<Out, In>
    : N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void }
      ? TaskFits<Out, Args>
      : 'this is neither a task nor a pipeline: bind the function first, tasks.bind(name, fn)'

type Handler<N> = N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void }
  ? HandlerFits<TaskError, Args>
  : 'an error handler is a task: tasks.bind(name, (error: TaskError) => …)'

type Last<N> = N extends { readonly [ARGS]: unknown } ? unknown : 'finallyDo takes a task, and then its arguments'

type Rest<Out, N> = N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void }
  ? RestAfter<Out, Args>
  : []

/** What goes on after `N`. */
type OutAfter<Out, N> = Through<Out, OutOf<N>>
type Through<Out, Result> = [PassedOn] extends [Result] ? (Result extends PassedOn ? Out : Result) : Result

/** What a pipeline takes once it has gone on with `N`: behind entries that pass on what they get, what `N` takes. */
type InAfter<Out, In, N> =
  IsPassedOn<Out> extends true
    ? N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void }
      ? AfterIn<Args, RestAfter<Out, Args>>
      : InOf<N>
    : In

/** How one use of a task differs from how it was bound. */
export interface UseOptions {
  /** In place of the bound policy. Which errors are retried stays as it was bound, because classes and predicates cannot be sent. */
  readonly retry?: Omit<RetryPolicy, 'retryFor'>
  /** Milliseconds from the start of the function, for each attempt. */
  readonly timeoutMs?: number
  readonly queue?: string
  /** Higher goes first, within a queue: an integer of at least 0. Default 0. A transport has a highest level. */
  readonly priority?: number
  /** For drawings and logs. Default: the task's name. */
  readonly displayName?: string
  /** A name of its own for this entry: unique in its pipeline, and not inside of a fan-out. */
  readonly taskId?: string
}

export interface GroupOptions<Exceptions extends boolean = boolean> {
  /** Failures become values of the list, as TaskErrors, and the group succeeds. Default false: it fails with all of them, once every chain has ended. */
  readonly returnExceptions?: Exceptions
  /** How many chains run at a time: an integer of at least 1. Default: all. */
  readonly maxParallelism?: number
  /** False: results come in the order in which the chains ended, at less cost. Default true: in the order of the entries. */
  readonly ordered?: boolean
}

type GroupOut<Entries extends readonly unknown[], Exceptions extends boolean> = {
  -readonly [K in keyof Entries]: Plain<OutAfter<unknown, Entries[K]>> | (Exceptions extends false ? never : TaskError)
}

// What is taken must fit every chain. A chain that takes nothing takes everything.
type GroupIn<Entry> = [Entry] extends [never]
  ? unknown
  : Everyone<Entry> extends (upstream: infer In) => void
    ? In
    : never
type Everyone<Entry> = Entry extends unknown ? (upstream: InOf<Entry>) => void : never

/**
 * Runs pipelines side by side; each gets the upstream result, if it takes one. The result is the list of their results, in this order,
 * once all of them have ended. An empty group gives `[]`.
 * @param entries pipelines, and tasks (which stand for `task.after()`); hundreds of thousands are fine
 * @throws TaskError TASKS_ARGUMENTS naming the index of an entry that is neither; TASKS_OPTIONS
 */
export function inParallel<const Entries extends readonly Composable[], Exceptions extends boolean = false>(
  entries: Entries,
  options: GroupOptions<Exceptions> = {},
): Pipeline<GroupOut<Entries, Exceptions>, GroupIn<Entries[number]>> {
  if (!Array.isArray(entries)) {
    throw new TaskError('TASKS_ARGUMENTS', `inParallel: the entries must be an array, not ${whatIs(entries)}`)
  }
  const parallel = parallelOptions('inParallel', options)
  const chains = Array.from(entries as readonly unknown[], (entry, i) => chainOf(`inParallel: entry ${i}`, entry))
  return new PipelineValue(undefined, { chains, ...parallel }) as never
}

function parallelOptions(call: string, options: GroupOptions): ParallelOptions {
  checkKeys(call, options, ['returnExceptions', 'maxParallelism', 'ordered'])
  const { returnExceptions = false, maxParallelism, ordered = true } = options
  for (const [name, value] of Object.entries({ returnExceptions, ordered })) {
    if (typeof value !== 'boolean') throw badOption(`${call}: ${name}`, 'a boolean', value)
  }
  if (maxParallelism !== undefined && !(Number.isSafeInteger(maxParallelism) && maxParallelism >= 1))
    throw badOption(`${call}: maxParallelism`, 'an integer of at least 1', maxParallelism)
  return { returnExceptions, maxParallelism, ...(ordered ? {} : { unordered: true }) }
}

/**
 * Runs a task or pipeline once for each element of an upstream array, side by side; each gets its element as the upstream result. The result is
 * the list of their results: `load.send().continueWith(fanOut(resize, { maxParallelism: 10 })).continueWith(collect)`.
 * @param template a task (which stands for `task.after()`) or a pipeline
 * @throws TaskError TASKS_ARGUMENTS, TASKS_OPTIONS
 */
export function fanOut<N extends Composable, Exceptions extends boolean = false>(
  template: N,
  options: GroupOptions<Exceptions> = {},
): Pipeline<(Plain<OutAfter<unknown, N>> | (Exceptions extends false ? never : TaskError))[], readonly InOf<N>[]> {
  const parallel = parallelOptions('fanOut', options)
  return new PipelineValue(undefined, { each: chainOf('fanOut: the template', template), ...parallel }) as never
}

/**
 * Waits, durably and without a worker, and passes on what it got: `a.send().continueWith(sleep(60_000)).continueWith(b)`.
 * @param ms from the moment at which the entry before it has ended
 * @throws TaskError TASKS_ARGUMENTS
 */
export function sleep(ms: number): Pipeline<PassedOn> {
  if (typeof ms !== 'number' || !(ms >= 0 && ms <= MAX_TIME))
    throw new TaskError('TASKS_ARGUMENTS', `sleep: milliseconds of at least 0 are needed, not ${String(ms)}`)
  return new PipelineValue(undefined, { sleep: Math.ceil(ms) }) as never
}

/**
 * Waits until a time, durably and without a worker, and passes on what it got. A time that is over is no wait.
 * @param time a Date, or ms since the epoch
 * @throws TaskError TASKS_ARGUMENTS
 */
export function sleepUntil(time: Date | number): Pipeline<PassedOn> {
  // A Date is a number too; null is not meant to be one.
  const ms = typeof time === 'object' && time !== null ? Number(time) : time
  if (typeof ms !== 'number' || !(Math.abs(ms) <= MAX_TIME))
    throw new TaskError('TASKS_ARGUMENTS', `sleepUntil: a Date or ms since the epoch are needed, not ${String(time)}`)
  return new PipelineValue(undefined, { sleepUntil: Math.max(0, Math.ceil(ms)) }) as never
}

/** Whether `x` is a pipeline, of this copy of the library or another. */
export function isPipeline(x: unknown): x is Submittable<unknown, never> {
  return isPlan(x)
}

const TASK = Symbol.for('@tasks/core/Task')

/** What a pipeline keeps of a task; undefined if `x` is not one. */
export function taskRefOf(x: unknown): TaskRef | undefined {
  return typeof x === 'function' ? (x as { readonly [TASK]?: TaskRef })[TASK] : undefined
}

/** Gives a function what makes it a task: its name, and how it is sent. */
export function makeTask(fn: (...args: never) => unknown, ref: TaskRef): void {
  Object.defineProperties(fn, {
    [TASK]: { value: ref },
    taskName: { value: ref.name, enumerable: true },
    send: { value: (...args: unknown[]) => new PipelineValue(undefined, taskUse(ref, 'nothing', args)) },
    after: { value: (...own: unknown[]) => new PipelineValue(undefined, taskUse(ref, 'result', own)) },
  })
}

function taskUse(task: TaskRef, takes: 'nothing' | 'result' | 'error', args: readonly unknown[]): TaskUse {
  const use = { task, open: takes !== 'nothing', args, overrides: undefined }
  return takes === 'error' ? { ...use, catches: true } : use
}

function overridden(use: TaskUse, options: UseOptions): TaskUse {
  return { ...use, overrides: { ...use.overrides, ...resolveStep(`set() on task "${use.task.name}"`, options) } }
}

function neededTask(call: string, x: unknown): TaskRef {
  const task = taskRefOf(x)
  if (task === undefined) throw new TaskError('TASKS_ARGUMENTS', `${call}: a task is needed, not ${whatIs(x)}`)
  return task
}

/** The chain that a task or pipeline is as a part of another. */
function chainOf(where: string, entry: unknown): Plan {
  const task = taskRefOf(entry)
  if (task !== undefined) return new PipelineValue(undefined, taskUse(task, 'result', []))
  if (!isPlan(entry))
    throw new TaskError('TASKS_ARGUMENTS', `${where} must be a task or a pipeline, not ${whatIs(entry)}`)
  checkPart(where, entry)
  return entry
}

/** What is said of a whole pipeline has no meaning in a part of one. */
function checkPart(where: string, { whole }: Plan): void {
  if (whole === undefined) return
  const why =
    whole.finally !== undefined
      ? 'ends with finallyDo, so that it can be submitted, or returned from a task, and be no part of another'
      : whole.inline
        ? 'is inline, which is for a pipeline that a task returns'
        : 'has initial parameters of its own, which would be ambiguous: give them to the whole pipeline'
  throw new TaskError('TASKS_ARGUMENTS', `${where} ${why}`)
}

/** Whether a first entry of the chain takes an upstream value. */
function takesUpstream(plan: Plan): boolean {
  const first = entriesOf(plan).find((use) => !isSleepUse(use))
  if (first === undefined) return true
  if (isTaskUse(first)) return first.open
  if (isEventUse(first)) return false
  return isGroupUse(first) ? first.chains.some(takesUpstream) : true
}

export function isPlainObject(x: unknown): x is Record<string, unknown> {
  if (typeof x !== 'object' || x === null) return false
  const prototype: unknown = Object.getPrototypeOf(x)
  return prototype === Object.prototype || prototype === null
}

export class PipelineValue extends Plan {
  continueWith(next: unknown, ...rest: readonly unknown[]): Plan {
    this.#checkOpenEnded('continueWith')
    const task = taskRefOf(next)
    if (task !== undefined) return this.#followedBy(taskUse(task, 'result', rest))
    if (!isPlan(next)) {
      throw new TaskError('TASKS_ARGUMENTS', `continueWith: a task or a pipeline is needed, not ${whatIs(next)}`)
    }
    if (rest.length > 0) {
      throw new TaskError('TASKS_ARGUMENTS', 'continueWith: a pipeline has its own arguments; only a task takes more')
    }
    checkPart('continueWith: the pipeline', next)
    return entriesOf(next).reduce<Plan>((last, use) => new PipelineValue(last, use, this.whole), this)
  }

  continueIf(condition: unknown, next: unknown, ...rest: readonly unknown[]): Plan {
    if (typeof condition !== 'boolean') {
      throw new TaskError(
        'TASKS_ARGUMENTS',
        `continueIf: the condition must be a boolean, known now, not ${whatIs(condition)}; a task that returns a pipeline decides later`,
      )
    }
    // Checked all the same, so that a mistake does not wait for the day on which the condition holds.
    const continued = this.continueWith(next, ...rest)
    return condition ? continued : this
  }

  exceptionally(handler: unknown, ...rest: readonly unknown[]): Plan {
    this.#checkOpenEnded('exceptionally')
    return this.#followedBy(taskUse(neededTask('exceptionally', handler), 'error', rest))
  }

  finallyDo(task: unknown, ...args: readonly unknown[]): Plan {
    this.#checkOpenEnded('finallyDo')
    return this.#as({ finally: taskUse(neededTask('finallyDo', task), 'nothing', args) })
  }

  pauseAfter(): Plan {
    this.#checkOpenEnded('pauseAfter')
    const { before, use, whole } = this
    if (!isTaskUse(use)) return new PipelineValue(before, { ...use, pauseAfter: true } as Use, whole)
    return new PipelineValue(before, { ...use, overrides: { ...use.overrides, pauseAfter: true } }, whole)
  }

  set(options: UseOptions): Plan {
    const { before, use, whole } = this
    const last = whole?.finally
    if (last !== undefined) return this.#as({ finally: overridden(last, options) })
    if (!isTaskUse(use)) {
      const what = isSleepUse(use)
        ? 'a sleep'
        : isEventUse(use)
          ? 'a wait for an event'
          : isGroupUse(use)
            ? 'a group'
            : 'a fan-out'
      throw new TaskError('TASKS_ARGUMENTS', `set: the last entry is ${what}; set() is for a task`)
    }
    return new PipelineValue(before, overridden(use, options), whole)
  }

  withInitial(initial: { readonly args?: unknown; readonly state?: unknown }): Plan {
    if (!isPlainObject(initial))
      throw new TaskError('TASKS_ARGUMENTS', `withInitial: { args, state } is needed, not ${whatIs(initial)}`)
    checkKeys('withInitial', initial, ['args', 'state'])
    const { args, state } = initial
    if (args !== undefined && !Array.isArray(args))
      throw new TaskError('TASKS_ARGUMENTS', `withInitial: args must be an array, not ${whatIs(args)}`)
    if (args !== undefined && args.length > 0 && !takesUpstream(this))
      throw new TaskError(
        'TASKS_ARGUMENTS',
        'withInitial: nothing takes args: describe the first task by after(), not send()',
      )
    if (state !== undefined && !isPlainObject(state))
      throw new TaskError('TASKS_ARGUMENTS', `withInitial: state must be a plain object, not ${whatIs(state)}`)
    for (const key of Object.keys(state ?? {})) checkStateKey('withInitial: state', key)
    return this.#as({
      ...(args === undefined ? {} : { input: [...(args as readonly unknown[])] }),
      ...(state === undefined ? {} : { state }),
    })
  }

  inline(): Plan {
    return this.#as({ inline: true })
  }

  #followedBy(use: Use): Plan {
    return new PipelineValue(this, use, this.whole)
  }

  #as(whole: Whole): Plan {
    return new PipelineValue(this.before, this.use, { ...this.whole, ...whole })
  }

  #checkOpenEnded(call: string): void {
    if (this.whole?.finally !== undefined)
      throw new TaskError('TASKS_ARGUMENTS', `${call}: the pipeline ends with finallyDo, and nothing comes after that`)
  }

  toJSON(): Definition {
    const { pages } = encodeDefinition(this, {
      codec: jsonCodec(),
      inlineBytes: Infinity,
      pageBytes: Number.MAX_SAFE_INTEGER,
      blobName: () => '',
    })
    return JSON.parse(String(pages[0])) as Definition
  }

  toMermaid(options?: DrawOptions): string {
    return toMermaid(this, options)
  }

  toText(options?: DrawOptions): string {
    return toText(this, options)
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `Pipeline\n${toText(this)}`
  }
}
