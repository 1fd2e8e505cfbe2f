// Every error that leaves this library is a `TaskError` with a code of this table. Programs branch on the code, never on the message.
// ERRORS.md says for each what to do; a test keeps the two together.

/** Each code, and what happened in a sentence. A new code gets a line here and a section in ERRORS.md. */
export const taskErrorCodes = {
  // ---- A task or pipeline ended badly
  TASKS_TASK_FAILED: 'The function of a task threw an error; its name, message and stack are those of the worker.',
  TASKS_GROUP_FAILED:
    'One or more chains of a parallel group failed; `errors` holds the first 100, `errorCount` says how many there are.',
  TASKS_TIMEOUT: 'A task ran longer than its `timeoutMs`.',
  TASKS_CANCELLED: 'The pipeline, or the wait for it, was cancelled.',
  TASKS_MAX_DELIVERIES:
    'A task was delivered `maxDeliveries` times without an outcome, because its workers died while they ran it.',
  TASKS_DEAD_LETTERED: 'A message could not be processed and was moved to the dead letters.',
  TASKS_NON_RETRYABLE: 'The function of a task threw a NonRetryableError, so it was not tried again.',
  TASKS_VETOED: 'A hook of the worker threw a TaskVetoError, which failed the task.',
  TASKS_RETRY_AFTER: 'The function of a task threw a RetryAfterError, and no attempts were left.',
  // ---- Describing work
  TASKS_ARGUMENTS: 'A function of this library was called with arguments that it does not take.',
  TASKS_OPTIONS: 'An option has a value that is not allowed.',
  TASKS_DUPLICATE_TASK: 'Two tasks of one registry were given the same name or alias.',
  TASKS_UNKNOWN_TASK: 'No task of that name is registered.',
  TASKS_NOT_IMPLEMENTED: 'A task that is only declared in this process was called as a function.',
  TASKS_SCHEMA:
    'An argument of a task, or the state of its pipeline, does not fit the schema that the task declares for it.',
  TASKS_ID_INVALID: 'An id or name is empty, too long, or has characters that are not allowed.',
  TASKS_DEFINITION_INVALID:
    'A pipeline definition is malformed, gives one task id to two entries, or was written by a newer version.',
  TASKS_DEFINITION_TOO_LARGE: 'A pipeline is over one of the limits for size or depth.',
  // ---- Values
  TASKS_UNENCODABLE: 'A value cannot be carried to another process; the message names its path.',
  TASKS_UNDECODABLE: 'Bytes that should hold a value are malformed, unsafe, or of a newer encoding.',
  TASKS_VALUE_TOO_LARGE: 'A value is over the limit for its size or depth.',
  // ---- Clients
  TASKS_RESULT_TIMEOUT: 'Waiting for a result took longer than asked; nothing was cancelled, and the work goes on.',
  TASKS_NOT_FOUND: 'There is no pipeline, result, letter or store of that name; it may have expired.',
  TASKS_ID_CONFLICT: 'The id belongs to a run with another definition.',
  TASKS_ID_EXISTS: 'The id is taken, and `onDuplicate` is `reject`.',
  TASKS_FULL: 'The partition has as many pipelines that go on, or entries that wait for a time, as it may have.',
  TASKS_STATUS: 'A command was given that is not for the status that the pipeline has; the message names both.',
  TASKS_STATE_CONFLICT: "Chains of a group have set a key of the pipeline's state to different values.",
  TASKS_NO_TASKS: 'A worker was started without tasks.',
  TASKS_NO_CONTEXT: 'The task context was asked for outside a task.',
  TASKS_CONFIG: 'The configuration is missing, unreadable or contradictory.',
  // ---- Transports
  TASKS_FENCED: 'Another process owns this partition now; the commit was refused, and nothing of it was applied.',
  TASKS_TOO_LARGE: 'A message or commit is over the limit of the transport; nothing of it was applied.',
  TASKS_ROW_EXISTS: 'A row that a commit takes to be new is there; nothing of the commit was applied.',
  TASKS_UNAVAILABLE: 'The transport cannot be reached, or did not answer; the outcome of the call is not known.',
  TASKS_CLOSED: 'The object was used after it was closed.',
  TASKS_UNSUPPORTED:
    'What was asked cannot be done: not by this transport, not with this kind of task or letter, or not by a recording client.',
  TASKS_UNKNOWN_SCHEME: 'No transport is known for the scheme of that URL.',
  TASKS_MISSING_PACKAGE: 'The package of a transport, or the client library it needs, is not installed.',
  TASKS_PARTITIONS_MISMATCH: 'The store was created with another number of partitions.',
  TASKS_STORE_NEWER: 'The store was written by a newer version than this one can read.',
  TASKS_STORE_FOREIGN: 'The store exists and is not one of ours.',
  TASKS_STORE_UNSAFE: 'The store is known to lose or corrupt data the way it is set up.',
  TASKS_STORE_CORRUPT: 'The store is damaged.',
} as const satisfies Readonly<Record<`TASKS_${string}`, string>>

export type TaskErrorCode = keyof typeof taskErrorCodes

/** Which task failed: its name, the id of its entry, and the attempt, counted from 1. */
export interface FailedTask {
  readonly name: string
  readonly id: string
  readonly attempt: number
}

export interface TaskErrorOptions {
  readonly cause?: unknown
  readonly task?: FailedTask | undefined
  /** The causes of an aggregate, in declaration order. Only the first 100 are kept. */
  readonly errors?: readonly TaskError[] | undefined
  /** How many causes there are in all. Default: the length of `errors`. */
  readonly errorCount?: number | undefined
  /** Of a cause of an aggregate: which chain of the group failed with it, counted from 0. */
  readonly index?: number | undefined
  /** What failed after it and does not take its place: the pipeline's finally. */
  readonly suppressed?: readonly TaskError[] | undefined
  /** Facts for programs, as JSON: the path of a bad value, the limit that was hit. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
  /** The name of the original error, when this one stands for an error of another process. Default: the class's. */
  readonly name?: string | undefined
  /** The stack of the original error. Default: here. */
  readonly stack?: string | undefined
}

/** The most causes that an aggregated error carries. */
export const MAX_ERRORS = 100

// Two copies of this module in one program (ESM and CJS, or two versions) disagree on `instanceof`; they agree on these.
const TASK_ERROR = Symbol.for('@tasks/core/TaskError')
const NON_RETRYABLE = Symbol.for('@tasks/core/NonRetryableError')
const VETO = Symbol.for('@tasks/core/TaskVetoError')
const RETRY_AFTER = Symbol.for('@tasks/core/RetryAfterError')

function has(x: unknown, brand: symbol): boolean {
  return typeof x === 'object' && x !== null && (x as Record<symbol, unknown>)[brand] === true
}

// On the prototype and not enumerable, so that a printed error shows its code and facts only.
function mark(prototype: object, brand: symbol, name: string): void {
  Object.defineProperty(prototype, brand, { value: true })
  Object.defineProperty(prototype, 'name', { value: name, writable: true, configurable: true })
}

/** What this library throws, and what a client gets for a task that failed. */
export class TaskError extends Error {
  /** One of `TaskErrorCode`; a string, because a newer worker may send a newer code. */
  readonly code: string
  /** The task that failed. */
  declare readonly task?: FailedTask
  /** The causes of an aggregate, at most 100. */
  declare readonly errors?: readonly TaskError[]
  /** How many causes the aggregate has in all. */
  declare readonly errorCount?: number
  /** Of a cause of an aggregate: which chain of the group failed with it, counted from 0. */
  declare readonly index?: number
  /** What failed after it and does not take its place: the pipeline's finally. */
  declare readonly suppressed?: readonly TaskError[]
  /** Facts for programs, as JSON. */
  declare readonly details?: Readonly<Record<string, unknown>>

  /**
   * @param code one of `TaskErrorCode`; transports outside this repository may use codes of their own
   * @param message names the thing and the value
   */
  constructor(code: TaskErrorCode | (string & Record<never, never>), message: string, options: TaskErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    if (options.task !== undefined) this.task = options.task
    if (options.errors !== undefined) {
      this.errors = options.errors.length > MAX_ERRORS ? options.errors.slice(0, MAX_ERRORS) : options.errors
      this.errorCount = options.errorCount ?? options.errors.length
    } else if (options.errorCount !== undefined) this.errorCount = options.errorCount
    if (options.index !== undefined) this.index = options.index
    if (options.suppressed !== undefined) this.suppressed = options.suppressed
    if (options.details !== undefined) this.details = options.details
    if (options.name !== undefined && options.name !== this.name) hide(this, 'name', options.name)
    if (options.stack !== undefined) hide(this, 'stack', options.stack)
  }

  /** Whether `x` is a TaskError, of this copy of the library or another. */
  static is(x: unknown): x is TaskError {
    return has(x, TASK_ERROR)
  }

  static {
    mark(this.prototype, TASK_ERROR, 'TaskError')
  }
}

/** The message of TASKS_NOT_FOUND. */
export const noPipeline = (id: string): string =>
  `there is no pipeline "${id}": it was never submitted, or its retention has ended`

function hide(error: Error, key: 'name' | 'stack', value: string): void {
  Object.defineProperty(error, key, { value, writable: true, configurable: true })
}

/** Throw this in a task when trying again is useless: its retry policy is not asked. */
export class NonRetryableError extends TaskError {
  declare readonly code: 'TASKS_NON_RETRYABLE'

  constructor(message: string, options?: TaskErrorOptions) {
    super('TASKS_NON_RETRYABLE', message, options)
  }

  static override is(x: unknown): x is NonRetryableError {
    return has(x, NON_RETRYABLE)
  }

  static {
    mark(this.prototype, NON_RETRYABLE, 'NonRetryableError')
  }
}

/**
 * Throw this in a task to choose when it is tried again, as a `Retry-After` header does. It counts as an attempt of the retry
 * policy, and takes the place of the policy's delay.
 */
export class RetryAfterError extends TaskError {
  declare readonly code: 'TASKS_RETRY_AFTER'
  /** Milliseconds to wait before the next attempt. */
  readonly delayMs: number

  /**
   * @param delayMs milliseconds to wait, finite and at least 0
   * @throws TaskError TASKS_OPTIONS if `delayMs` is anything else
   */
  constructor(message: string, delayMs: number, options?: TaskErrorOptions) {
    super('TASKS_RETRY_AFTER', message, options)
    if (!Number.isFinite(delayMs) || delayMs < 0) {
      throw new TaskError(
        'TASKS_OPTIONS',
        `RetryAfterError: delayMs must be a finite number of at least 0, not ${String(delayMs)}`,
      )
    }
    this.delayMs = delayMs
  }

  static override is(x: unknown): x is RetryAfterError {
    return has(x, RETRY_AFTER)
  }

  static {
    mark(this.prototype, RETRY_AFTER, 'RetryAfterError')
  }
}

/** Throw this in a hook (`tasks.events.on`) to fail the task that it is called for. The task is not tried again. */
export class TaskVetoError extends TaskError {
  declare readonly code: 'TASKS_VETOED'

  constructor(message: string, options?: TaskErrorOptions) {
    super('TASKS_VETOED', message, options)
  }

  static override is(x: unknown): x is TaskVetoError {
    return has(x, VETO)
  }

  static {
    mark(this.prototype, VETO, 'TaskVetoError')
    Object.defineProperty(this.prototype, NON_RETRYABLE, { value: true })
  }
}
