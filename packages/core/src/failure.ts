// An error as JSON: what a worker sends, an owner stores without opening, and a client turns back into a `TaskError`.
// Bounded in every direction, because what is thrown is not ours: causes may be cyclic, messages may hold a document.
import { inspect } from 'node:util'
import {
  MAX_ERRORS,
  NonRetryableError,
  RetryAfterError,
  TaskError,
  type FailedTask,
  type TaskErrorOptions,
} from './errors'

export interface Failure {
  /** A `TaskErrorCode`; `TASKS_TASK_FAILED` for whatever else was thrown. */
  readonly code: string
  /** The error's own name: `RangeError`. */
  readonly name: string
  readonly message: string
  readonly stack?: string
  readonly cause?: Failure
  /** The causes of an aggregate: at most 100. */
  readonly errors?: readonly Failure[]
  /** How many causes there are in all. */
  readonly errorCount?: number
  /** Of a cause of an aggregate: which chain of the group it is from. */
  readonly index?: number
  /** What failed after it: the pipeline's finally. */
  readonly suppressed?: readonly Failure[]
  readonly task?: FailedTask
  readonly details?: Readonly<Record<string, unknown>>
}

const MAX_DEPTH = 8
const MAX_MESSAGE = 16_384
const MAX_STACK = 16_384
const MAX_CAUSE_STACK = 4_096
const MAX_DETAILS = 16_384

// Of a foreign error only these are kept: they say what kind of failure it is. Other properties may hold requests, with their secrets.
const TELLING = ['code', 'errno', 'syscall', 'status', 'statusCode'] as const

/**
 * The JSON form of anything that can be thrown.
 * @param task what failed; it takes the place of the error's own `task`, which may be that of an earlier failure thrown again
 */
export function toFailure(error: unknown, task?: FailedTask): Failure {
  // One budget for the whole tree, so that an aggregate of aggregates stays bounded.
  const failure = describe(error, [], { left: MAX_ERRORS * 2 })
  return task === undefined ? failure : { ...failure, task: { name: task.name, id: task.id, attempt: task.attempt } }
}

function describe(error: unknown, above: readonly unknown[], budget: { left: number }): Failure {
  budget.left--
  if (!isErrorLike(error)) return { code: 'TASKS_TASK_FAILED', name: 'Error', message: describeThrown(error) }
  const ours = TaskError.is(error)
  const known: Partial<TaskError> = ours ? error : {}
  const stack = text(error, 'stack')
  const inner = [...above, error]
  const deeper = (x: unknown): Failure | undefined =>
    inner.length > MAX_DEPTH || inner.includes(x) || budget.left <= 0 ? undefined : describe(x, inner, budget)

  const cause = read(error, 'cause')
  const causeFailure = cause === undefined ? undefined : deeper(cause)
  const causes = read(error, 'errors')
  const errors = Array.isArray(causes)
    ? causes.slice(0, MAX_ERRORS).flatMap((x: unknown) => deeper(x) ?? [])
    : undefined
  const errorCount = known.errorCount ?? (Array.isArray(causes) ? causes.length : undefined)
  const suppressed = known.suppressed?.flatMap((x) => deeper(x) ?? [])
  const details = RetryAfterError.is(error)
    ? { ...error.details, delayMs: error.delayMs }
    : ours
      ? error.details
      : telling(error)
  const safeDetails = details === undefined ? undefined : asJson(details)
  return {
    code: ours ? error.code : 'TASKS_TASK_FAILED',
    name: text(error, 'name') ?? 'Error',
    message: cut(text(error, 'message') ?? '', MAX_MESSAGE),
    ...(stack === undefined ? {} : { stack: cut(stack, above.length === 0 ? MAX_STACK : MAX_CAUSE_STACK) }),
    ...(causeFailure === undefined ? {} : { cause: causeFailure }),
    ...(errors === undefined ? {} : { errors }),
    ...(errorCount === undefined ? {} : { errorCount }),
    // Thrown again, it is no chain's of that group any more.
    ...(known.index === undefined || above.length === 0 ? {} : { index: known.index }),
    ...(suppressed === undefined || suppressed.length === 0 ? {} : { suppressed }),
    ...(known.task === undefined ? {} : { task: known.task }),
    ...(safeDetails === undefined ? {} : { details: safeDetails }),
  }
}

/**
 * A failure as it is stored. Of one that is too large what tells most is kept: first its causes lose their stacks, then they go, then its message and
 * stack are cut.
 */
export function encodeFailure(failure: Failure, maxBytes: number): Buffer {
  const { code, name, message, stack = '', task, cause, errors, errorCount = errors?.length } = failure
  const outermost = { code, name, message, stack, errorCount, task }
  const cuts = [1, 2, 3, 4].map((shift) => ({
    ...outermost,
    message: cut(message, maxBytes >> shift),
    stack: cut(stack, maxBytes >> shift),
  }))
  for (const candidate of [failure, { ...failure, cause: cause && bare(cause), errors: errors?.map(bare) }, ...cuts]) {
    const bytes = Buffer.from(JSON.stringify(candidate))
    if (bytes.length <= maxBytes) return bytes
  }
  return Buffer.from(JSON.stringify({ code, name, message: cut(message, 100), task }))
}

/** The message of a failure that is stored as text. */
export function messageOf(failure: string): string {
  try {
    return (JSON.parse(failure) as { readonly message?: string }).message ?? 'failed'
  } catch {
    return 'failed'
  }
}

function bare({ code, name, message }: Failure): Failure {
  return { code, name, message: cut(message, 256) }
}

/** The error that a failure describes. Never throws: what is missing or of the wrong type is left out. */
export function fromFailure(failure: Failure): TaskError {
  return revive(failure, 0)
}

function revive(value: unknown, depth: number): TaskError {
  const failure = (typeof value === 'object' && value !== null ? value : {}) as Record<keyof Failure, unknown>
  const { errors, errorCount, index, suppressed, details, task } = failure
  const options: TaskErrorOptions = {
    ...(failure.cause === undefined || depth > MAX_DEPTH ? {} : { cause: revive(failure.cause, depth + 1) }),
    name: typeof failure.name === 'string' ? failure.name : undefined,
    stack: typeof failure.stack === 'string' ? failure.stack : undefined,
    errors:
      Array.isArray(errors) && depth <= MAX_DEPTH
        ? errors.slice(0, MAX_ERRORS).map((x) => revive(x, depth + 1))
        : undefined,
    suppressed:
      Array.isArray(suppressed) && depth <= MAX_DEPTH
        ? suppressed.slice(0, MAX_ERRORS).map((x) => revive(x, depth + 1))
        : undefined,
    errorCount: typeof errorCount === 'number' ? errorCount : undefined,
    index: typeof index === 'number' ? index : undefined,
    task: isFailedTask(task) ? { name: task.name, id: task.id, attempt: task.attempt } : undefined,
    details: typeof details === 'object' && details !== null ? asJson(details) : undefined,
  }
  const code = typeof failure.code === 'string' ? failure.code : 'TASKS_TASK_FAILED'
  const message = typeof failure.message === 'string' ? failure.message : 'an error without a message'
  if (code === 'TASKS_NON_RETRYABLE') return new NonRetryableError(message, options)
  if (code === 'TASKS_RETRY_AFTER') {
    const delayMs = options.details?.['delayMs']
    return new RetryAfterError(message, typeof delayMs === 'number' && delayMs >= 0 ? delayMs : 0, options)
  }
  return new TaskError(code, message, options)
}

function isFailedTask(x: unknown): x is FailedTask {
  if (typeof x !== 'object' || x === null) return false
  const { name, id, attempt } = x as Partial<FailedTask>
  return typeof name === 'string' && typeof id === 'string' && typeof attempt === 'number'
}

// By shape: errors of other realms (vm contexts, test runners) and DOMException are errors too.
function isErrorLike(x: unknown): x is Error {
  if (typeof x !== 'object' || x === null) return false
  return x instanceof Error || (text(x, 'message') !== undefined && text(x, 'name') !== undefined)
}

function describeThrown(thrown: unknown): string {
  if (typeof thrown === 'string') return cut(thrown, MAX_MESSAGE)
  try {
    return cut(
      `thrown: ${inspect(thrown, { depth: 2, breakLength: Infinity, maxArrayLength: 20, maxStringLength: 200 })}`,
      1024,
    )
  } catch {
    return `thrown: a value of type ${typeof thrown} that cannot be shown`
  }
}

// A getter of a foreign object may throw.
function read(x: object, key: string): unknown {
  try {
    return (x as Record<string, unknown>)[key]
  } catch {
    return undefined
  }
}

function text(x: object, key: string): string | undefined {
  const value = read(x, key)
  return typeof value === 'string' ? value : undefined
}

function telling(error: object): Record<string, unknown> | undefined {
  let found: Record<string, unknown> | undefined
  for (const key of TELLING) {
    const value = read(error, key)
    if (typeof value === 'number' || (typeof value === 'string' && value.length <= 200)) (found ??= {})[key] = value
  }
  return found
}

function asJson(details: object): Record<string, unknown> | undefined {
  try {
    const json = JSON.stringify(details)
    if (json.length > MAX_DETAILS || nesting(json) > MAX_DEPTH) return undefined
    // Dropping what could reach the prototype of whoever copies them.
    return JSON.parse(json, (key, value: unknown) => (key === '__proto__' ? undefined : value)) as Record<
      string,
      unknown
    >
  } catch {
    return undefined
  }
}

// At least as deep as it is: brackets in strings count.
function nesting(json: string): number {
  let depth = 0
  let deepest = 0
  for (const [bracket] of json.matchAll(/[[\]{}]/g)) {
    depth += bracket === '[' || bracket === '{' ? 1 : -1
    deepest = Math.max(deepest, depth)
  }
  return deepest
}

function cut(s: string, max: number): string {
  return s.length <= max ? s : `${s.slice(0, max)}… (${s.length - max} more characters)`
}
