// What a pipeline is made of: a list of entries, linked from the last to the first, so that continuing is one small object and a
// pipeline shares its beginning with whatever it was continued from; and what is said of the pipeline as a whole. No functions and no types
// here: pipeline.ts gives it a face, definition.ts its form on the wire, draw.ts its picture.
import type { Scalar } from './definition'
import { TaskError } from './errors'
import { checkId, checkQueueName } from './ids'
import { resolveRetry, type RetryData, type RetryPolicy } from './retry'

/** The most entries in one chain, tasks in one pipeline, and groups and fan-outs inside each other. */
export const MAX_CHAIN = 10_000
export const MAX_TASKS = 1_000_000
export const MAX_DEPTH = 64
/** The longest sleep and the latest end of one, in ms: what a Date can hold. */
export const MAX_TIME = 8.64e15

/** How one use of a task is to be run. What is absent is the default. */
export interface StepOptions {
  /** Absent: `default`. */
  readonly queue?: string
  readonly retry?: RetryData
  readonly timeoutMs?: number
  readonly priority?: number
  readonly displayName?: string
  /** A name of its own for this entry, unique in its pipeline. */
  readonly taskId?: string
  /** The pipeline is paused when the entry has ended. */
  readonly pauseAfter?: true
  /** Its result need not be stored: what follows runs with it. */
  readonly checkpoint?: false
  /** Its own arguments are refused where they are too large for a message. Does not travel. */
  readonly largeArguments?: false
}

/** A task as a pipeline knows it: by name. */
export interface TaskRef {
  readonly name: string
  readonly step: StepOptions
}

export interface TaskUse {
  readonly task: TaskRef
  /** Takes the upstream result as its first argument. */
  readonly open: boolean
  /** Runs after a failure only, and takes the error in place of the result: it is open. */
  readonly catches?: true
  /** Its own arguments. */
  readonly args: readonly unknown[]
  /** What `set` said of this use alone. */
  readonly overrides: StepOptions | undefined
}

/** How chains run side by side. */
export interface ParallelOptions {
  readonly returnExceptions: boolean
  readonly maxParallelism: number | undefined
  /** Results in the order in which the chains ended. */
  readonly unordered?: true
  readonly pauseAfter?: true
}

export interface GroupUse extends ParallelOptions {
  readonly chains: readonly Plan[]
}

/** A chain like this for each element of the upstream array, which is its upstream value. */
export interface EachUse extends ParallelOptions {
  readonly each: Plan
}

/** Gives this. No author writes it: a fan-out begins chains with it that do not begin with a task. */
export interface ValueUse {
  readonly value: unknown
  readonly pauseAfter?: never
}

/** Waits, and passes on what it got. */
export interface SleepUse {
  /** Ms from its start, or the time of its end: whole ones. */
  readonly sleep?: number
  readonly sleepUntil?: number
  readonly pauseAfter?: true
}

/** Waits for an event, whose value is its result. */
export interface EventUse {
  readonly event: string
  /** One that was sent to this pipeline. */
  readonly pipeline?: true
  readonly match?: Readonly<Record<string, Scalar>>
  readonly timeoutMs?: number
  readonly pauseAfter?: true
}

export type Use = TaskUse | GroupUse | EachUse | ValueUse | SleepUse | EventUse

/** What is said of a pipeline as a whole, so that it can be no part of another. */
export interface Whole {
  /** Values for the first entry, as if they came from upstream. */
  readonly input?: readonly unknown[]
  readonly state?: Readonly<Record<string, unknown>>
  /** Shares the state of the pipeline whose task returns it. */
  readonly inline?: true
  /** Runs after the chain, however that ended. */
  readonly finally?: TaskUse
}

const PLAN = Symbol.for('@tasks/core/Pipeline')

/** One entry, and those before it. Immutable. */
export class Plan {
  readonly before: Plan | undefined
  readonly use: Use
  /** Of the last entry's pipeline only: it says nothing of those before it. */
  readonly whole: Whole | undefined
  /** Entries of this chain. */
  readonly length: number
  /** Task entries of this chain, those of groups and of templates included, each once. Beyond 2^53 it is only large. */
  readonly tasks: number
  /** How deep groups and fan-outs are nested. */
  readonly depth: number

  constructor(before: Plan | undefined, use: Use, whole?: Whole) {
    let tasks = before?.tasks ?? 0
    let depth = before?.depth ?? 0
    if (isTaskUse(use)) tasks++
    else {
      for (const chain of chainsOf(use)) {
        tasks += chain.tasks
        if (chain.depth >= depth) depth = chain.depth + 1
      }
      if (depth === 0 && (isGroupUse(use) || isEachUse(use))) depth = 1
    }
    this.before = before
    this.use = use
    this.whole = whole
    this.length = (before?.length ?? 0) + 1
    this.tasks = tasks
    this.depth = depth
    if (this.length > MAX_CHAIN) {
      throw new TaskError(
        'TASKS_DEFINITION_TOO_LARGE',
        `a chain has more than ${MAX_CHAIN} entries; let a task return the rest as a pipeline`,
      )
    }
  }

  static {
    Object.defineProperty(this.prototype, PLAN, { value: true })
  }
}

/** Whether `x` is a pipeline, of this copy of the library or another. */
export function isPlan(x: unknown): x is Plan {
  return typeof x === 'object' && x !== null && (x as Record<symbol, unknown>)[PLAN] === true
}

/** How an error names what stands where a task or a pipeline belongs. */
export function whatIs(x: unknown): string {
  if (typeof x === 'function') {
    const { taskName } = x as { readonly taskName?: unknown }
    return typeof taskName === 'string'
      ? `the task "${taskName}"`
      : `the function ${x.name || '(anonymous)'}: bind it first, tasks.bind(name, fn)`
  }
  if (isPlan(x)) return 'a pipeline'
  return x === null ? 'null' : Array.isArray(x) ? 'an array' : typeof x
}

export function isTaskUse(use: Use): use is TaskUse {
  return 'task' in use
}

export function isGroupUse(use: Use): use is GroupUse {
  return 'chains' in use
}

export function isEachUse(use: Use): use is EachUse {
  return 'each' in use
}

export function isValueUse(use: Use): use is ValueUse {
  return 'value' in use
}

export function isSleepUse(use: Use): use is SleepUse {
  return 'sleep' in use || 'sleepUntil' in use
}

export function isEventUse(use: Use): use is EventUse {
  return 'event' in use
}

const NO_CHAINS: readonly Plan[] = []

/** The chains inside an entry. */
export function chainsOf(use: Use): readonly Plan[] {
  return isGroupUse(use) ? use.chains : isEachUse(use) ? [use.each] : NO_CHAINS
}

/** The entries of a chain, first to last. */
export function entriesOf(plan: Plan): readonly Use[] {
  const entries = Array.from<Use>({ length: plan.length })
  let i = plan.length
  for (let at: Plan | undefined = plan; at !== undefined; at = at.before) entries[--i] = at.use
  return entries
}

/**
 * Checks options as a user gave them, and drops those that are undefined.
 * @param where for the message: `set() on task "load"`
 * @throws TaskError TASKS_OPTIONS, TASKS_ID_INVALID
 */
export function resolveStep(
  where: string,
  options: {
    readonly [K in Exclude<keyof StepOptions, 'pauseAfter' | 'checkpoint' | 'largeArguments'>]?:
      | (K extends 'retry' ? RetryPolicy | Omit<RetryPolicy, 'retryFor'> : StepOptions[K])
      | undefined
  },
): StepOptions {
  const { queue, retry, timeoutMs, priority, displayName, taskId, ...others } = options
  const bad = (option: string, wanted: string, value: unknown): TaskError =>
    new TaskError('TASKS_OPTIONS', `${where}: ${option} must be ${wanted}, not ${String(value)}`)
  for (const name of Object.keys(others)) throw new TaskError('TASKS_OPTIONS', `${where}: there is no option "${name}"`)
  if (queue !== undefined) checkQueueName(queue)
  if (retry !== undefined && 'retryFor' in retry) {
    throw new TaskError(
      'TASKS_OPTIONS',
      `${where}: retry.retryFor belongs where the task is bound; classes and predicates cannot be sent`,
    )
  }
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
    throw bad('timeoutMs', 'a finite number above 0', timeoutMs)
  }
  if (priority !== undefined && !(Number.isSafeInteger(priority) && priority >= 0)) {
    throw bad('priority', 'an integer of at least 0', priority)
  }
  if (displayName !== undefined && (typeof displayName !== 'string' || displayName === '')) {
    throw bad('displayName', 'a string that is not empty', displayName)
  }
  if (taskId !== undefined) checkId('task id', taskId)
  return {
    ...(queue === undefined ? {} : { queue }),
    ...(retry === undefined ? {} : { retry: resolveRetry(retry) }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(priority === undefined ? {} : { priority }),
    ...(displayName === undefined ? {} : { displayName }),
    ...(taskId === undefined ? {} : { taskId }),
  }
}
