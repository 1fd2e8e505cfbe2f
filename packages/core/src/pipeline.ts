// How work is described. A pipeline is a value: nothing is sent by making one, it is never changed, and it may be used twice.
import { toMermaid, toText, type DrawOptions } from './draw'
import { encodeDefinition, type Definition } from './definition'
import { TaskError } from './errors'
import { jsonCodec } from './json-codec'
import type { AfterIn, LastOf, PipelineFits, Plain, RestAfter, TaskFits } from './passing'
import { entriesOf, isGroupUse, isPlan, Plan, resolveStep, type StepOptions, type TaskRef } from './plan'
import type { RetryPolicy } from './retry'
import type { TaskOptions } from './task-options'

// Only types have these: they carry what a pipeline takes and gives.
declare const OUT: unique symbol
declare const IN: unique symbol
declare const ARGS: unique symbol

/**
 * A description of work that gives `Out` and takes `In` from upstream: `unknown` if it takes nothing, `void` among the
 * types if it can do without. `Pipeline<unknown, never>` is any pipeline; `Pipeline<Out, void>` one that can be submitted.
 */
export interface Pipeline<out Out = unknown, in In = unknown> {
  readonly [OUT]: Out
  readonly [IN]: (upstream: In) => void

  /**
   * Continues with a task, which gets the result as its first argument and then `rest`; or with all entries of a pipeline. A result of several
   * values (`spread`) takes as many parameters; a task whose result is void passes nothing on.
   * @throws TaskError TASKS_ARGUMENTS if `next` is neither, or a pipeline is given `rest`; TASKS_DEFINITION_TOO_LARGE above 10 000 entries
   */
  continueWith<O, I, N>(
    this: Pipeline<O, I>,
    next: N extends Next<O, N> ? N : Next<O, N>,
    ...rest: Rest<O, N>
  ): Pipeline<OutOf<N>, I>

  /**
   * Changes how the last entry, a task, is run here, whatever it was bound with. A second `set` adds to the first.
   * @throws TaskError TASKS_ARGUMENTS if the last entry is a group; TASKS_OPTIONS naming the option and the value
   */
  set(options: UseOptions): this

  /** The definition as JSON, version 1, on one page. Arguments are encoded by the default codec. */
  toJSON(): Definition
  /** A Mermaid flowchart. */
  toMermaid(options?: DrawOptions): string
  /** A tree for a terminal. */
  toText(options?: DrawOptions): string
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
  Awaited<Result> extends infer Value ? (Value extends Pipeline<infer Out, never> ? Out : Value) : never

/** What a client gets as the result of a pipeline or task: `await run.result()`. */
export type ResultOf<P> = Plain<OutOf<P>>

type OutOf<N> = N extends { readonly [OUT]: infer Out } ? Out : never

/** What an entry of a group takes from upstream. A bare task is its `after()`. */
type InOf<N> = N extends { readonly [IN]: (upstream: infer In) => void }
  ? In
  : N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void }
    ? AfterIn<Args, []>
    : never

type Next<Out, N> = N extends { readonly [IN]: (upstream: infer In) => void }
  ? PipelineFits<Out, In>
  : N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void }
    ? TaskFits<Out, Args>
    : 'this is neither a task nor a pipeline: bind the function first, tasks.bind(name, fn)'

type Rest<Out, N> = N extends { readonly [ARGS]: (args: infer Args extends readonly unknown[]) => void }
  ? RestAfter<Out, Args>
  : []

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
}

export interface GroupOptions<Exceptions extends boolean = boolean> {
  /** Failures become values of the list, as TaskErrors, and the group succeeds. Default false: it fails with all of them, once every chain has ended. */
  readonly returnExceptions?: Exceptions
  /** How many chains run at a time: an integer of at least 1. Default: all. */
  readonly maxParallelism?: number
}

type GroupOut<Entries extends readonly unknown[], Exceptions extends boolean> = {
  -readonly [K in keyof Entries]: Plain<OutOf<Entries[K]>> | (Exceptions extends false ? never : TaskError)
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
    throw new TaskError('TASKS_ARGUMENTS', `inParallel: the entries must be an array, not ${describe(entries)}`)
  }
  const { returnExceptions = false, maxParallelism, ...others } = options
  for (const name of Object.keys(others))
    throw new TaskError('TASKS_OPTIONS', `inParallel: there is no option "${name}"`)
  if (typeof returnExceptions !== 'boolean') {
    throw new TaskError(
      'TASKS_OPTIONS',
      `inParallel: returnExceptions must be a boolean, not ${String(returnExceptions)}`,
    )
  }
  if (maxParallelism !== undefined && !(Number.isSafeInteger(maxParallelism) && maxParallelism >= 1)) {
    throw new TaskError(
      'TASKS_OPTIONS',
      `inParallel: maxParallelism must be an integer of at least 1, not ${String(maxParallelism)}`,
    )
  }
  const chains = Array.from(entries as readonly unknown[], (entry, i) => {
    const plan = chainOf(entry)
    if (plan === undefined) {
      throw new TaskError(
        'TASKS_ARGUMENTS',
        `inParallel: entry ${i} must be a task or a pipeline, not ${describe(entry)}`,
      )
    }
    return plan
  })
  return new PipelineValue(undefined, { chains, returnExceptions, maxParallelism }) as never
}

/** Whether `x` is a pipeline, of this copy of the library or another. */
export function isPipeline(x: unknown): x is Pipeline<unknown, never> {
  return isPlan(x)
}

const TASK = Symbol.for('@tasks/core/Task')

/** What a pipeline keeps of a task; undefined if `x` is not one. */
export function taskRefOf(x: unknown): TaskRef | undefined {
  return typeof x === 'function' ? (x as { readonly [TASK]?: TaskRef })[TASK] : undefined
}

/** Gives a function what makes it a task for pipelines. */
export function describeTask(fn: (...args: never) => unknown, ref: TaskRef): void {
  Object.defineProperties(fn, {
    [TASK]: { value: ref },
    taskName: { value: ref.name, enumerable: true },
    send: { value: (...args: unknown[]) => closed(ref, args) },
    after: {
      value: (...own: unknown[]) =>
        new PipelineValue(undefined, { task: ref, open: true, args: own, overrides: undefined }),
    },
  })
}

function closed(task: TaskRef, args: readonly unknown[]): Plan {
  return new PipelineValue(undefined, { task, open: false, args, overrides: undefined })
}

function chainOf(entry: unknown): Plan | undefined {
  if (isPlan(entry)) return entry
  const task = taskRefOf(entry)
  return task && new PipelineValue(undefined, { task, open: true, args: [], overrides: undefined })
}

class PipelineValue extends Plan {
  continueWith(next: unknown, ...rest: readonly unknown[]): Plan {
    const task = taskRefOf(next)
    if (task !== undefined) return new PipelineValue(this, { task, open: true, args: rest, overrides: undefined })
    if (!isPlan(next)) {
      throw new TaskError('TASKS_ARGUMENTS', `continueWith: a task or a pipeline is needed, not ${describe(next)}`)
    }
    if (rest.length > 0) {
      throw new TaskError('TASKS_ARGUMENTS', 'continueWith: a pipeline has its own arguments; only a task takes more')
    }
    return entriesOf(next).reduce<Plan>((last, use) => new PipelineValue(last, use), this)
  }

  set(options: UseOptions): Plan {
    const { use } = this
    if (isGroupUse(use)) throw new TaskError('TASKS_ARGUMENTS', 'set: the last entry is a group; set() is for a task')
    const overrides: StepOptions = { ...use.overrides, ...resolveStep(`set() on task "${use.task.name}"`, options) }
    return new PipelineValue(this.before, { ...use, overrides })
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

function describe(x: unknown): string {
  if (typeof x === 'function') return `the function ${x.name || '(anonymous)'}: bind it first, tasks.bind(name, fn)`
  return x === null ? 'null' : Array.isArray(x) ? 'an array' : typeof x
}
