// What a pipeline is made of: a list of entries, linked from the last to the first, so that continuing is one small object and a
// pipeline shares its beginning with whatever it was continued from. No functions and no types here: pipeline.ts gives it a face,
// definition.ts its form on the wire, draw.ts its picture.
import { TaskError } from './errors'
import { checkQueueName } from './ids'
import { resolveRetry, type RetryData, type RetryPolicy } from './retry'

/** The most entries in one chain, tasks in one pipeline, and groups inside each other. */
export const MAX_CHAIN = 10_000
export const MAX_TASKS = 1_000_000
export const MAX_DEPTH = 64

/** How one use of a task is to be run. What is absent is the default. */
export interface StepOptions {
  /** Absent: `default`. */
  readonly queue?: string
  readonly retry?: RetryData
  readonly timeoutMs?: number
  readonly priority?: number
  readonly displayName?: string
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
  /** Its own arguments. */
  readonly args: readonly unknown[]
  /** What `set` said of this use alone. */
  readonly overrides: StepOptions | undefined
}

export interface GroupUse {
  readonly chains: readonly Plan[]
  readonly returnExceptions: boolean
  readonly maxParallelism: number | undefined
}

const PLAN = Symbol.for('@tasks/core/Pipeline')

/** One entry, and those before it. Immutable. */
export class Plan {
  readonly before: Plan | undefined
  readonly use: TaskUse | GroupUse
  /** Entries of this chain. */
  readonly length: number
  /** Task entries in all, groups included. Beyond 2^53 it is only large. */
  readonly tasks: number
  /** How deep groups are nested. */
  readonly depth: number

  constructor(before: Plan | undefined, use: TaskUse | GroupUse) {
    let tasks = before?.tasks ?? 0
    let depth = before?.depth ?? 0
    if (isGroupUse(use)) {
      for (const chain of use.chains) {
        tasks += chain.tasks
        if (chain.depth >= depth) depth = chain.depth + 1
      }
      if (depth === 0) depth = 1
    } else tasks++
    this.before = before
    this.use = use
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

export function isGroupUse(use: TaskUse | GroupUse): use is GroupUse {
  return 'chains' in use
}

/** The entries of a chain, first to last. */
export function entriesOf(plan: Plan): readonly (TaskUse | GroupUse)[] {
  const entries = Array.from<TaskUse | GroupUse>({ length: plan.length })
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
    readonly [K in keyof StepOptions]?:
      | (K extends 'retry' ? RetryPolicy | Omit<RetryPolicy, 'retryFor'> : StepOptions[K])
      | undefined
  },
): StepOptions {
  const { queue, retry, timeoutMs, priority, displayName, ...others } = options
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
  return {
    ...(queue === undefined ? {} : { queue }),
    ...(retry === undefined ? {} : { retry: resolveRetry(retry) }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(priority === undefined ? {} : { priority }),
    ...(displayName === undefined ? {} : { displayName }),
  }
}
