// When a failed task is tried again. The worker judges the error, because only it has the task's classes and predicates; the owner
// computes the delay from data. All of it is pure.
import { RetryAfterError, TaskError } from './errors'
import { checkKeys } from './option-checks'

export interface RetryPolicy {
  /** How often to try again after the first attempt: an integer of at least 0. */
  readonly maxRetries: number
  /** Milliseconds before the first retry. Default 1000. */
  readonly delayMs?: number
  /** Each retry waits this many times as long as the one before: at least 1. Default 2. */
  readonly factor?: number
  /** No retry waits longer than this, in milliseconds. Default 60 000, or `delayMs` if that is more. */
  readonly maxDelayMs?: number
  /**
   * Spreads retries, so that tasks that failed together do not come back together. `full`: uniform between 0 and the delay;
   * `none`: the delay; a number j from 0 to 1: uniform between (1 - j) × delay and the delay. Default `full`.
   */
  readonly jitter?: 'full' | 'none' | number
  /**
   * Which errors to retry: classes (subclasses match), or a predicate. Judged in the worker, and never sent: a pipeline that
   * overrides the policy of one use leaves it as it was bound. Default: every error but those of arguments and schemas, and NonRetryableError,
   * which are never retried.
   */
  readonly retryFor?: readonly ErrorClass[] | ((error: unknown) => boolean)
}

export type ErrorClass = abstract new (...args: never[]) => Error

/** The part of a policy that travels, with every default filled in: a later version's defaults do not change a stored pipeline. */
export interface RetryData {
  readonly maxRetries: number
  readonly delayMs: number
  readonly factor: number
  readonly maxDelayMs: number
  readonly jitter: 'full' | 'none' | number
}

/**
 * Checks a policy and fills in its defaults.
 * @throws TaskError TASKS_OPTIONS naming the field and the value
 */
export function resolveRetry(policy: RetryPolicy): RetryData {
  if (typeof policy !== 'object' || policy === null) throw bad('retry', 'an object like { maxRetries: 3 }', policy)
  checkKeys('retry', policy, ['maxRetries', 'delayMs', 'factor', 'maxDelayMs', 'jitter', 'retryFor'])
  const { maxRetries, delayMs = 1000, factor = 2, jitter = 'full', retryFor } = policy
  if (!Number.isSafeInteger(maxRetries) || maxRetries < 0)
    throw bad('retry.maxRetries', 'an integer of at least 0', maxRetries)
  if (!isAtLeast(delayMs, 0)) throw bad('retry.delayMs', 'a finite number of at least 0', delayMs)
  if (!isAtLeast(factor, 1)) throw bad('retry.factor', 'a finite number of at least 1', factor)
  const maxDelayMs = policy.maxDelayMs ?? Math.max(60_000, delayMs)
  if (!isAtLeast(maxDelayMs, 0)) throw bad('retry.maxDelayMs', 'a finite number of at least 0', maxDelayMs)
  if (jitter !== 'full' && jitter !== 'none' && !(isAtLeast(jitter, 0) && jitter <= 1)) {
    throw bad('retry.jitter', "'full', 'none' or a number from 0 to 1", jitter)
  }
  if (retryFor !== undefined && typeof retryFor !== 'function') {
    if (!Array.isArray(retryFor)) throw bad('retry.retryFor', 'an array of error classes, or a predicate', retryFor)
    for (const [i, type] of (retryFor as readonly unknown[]).entries()) {
      if (typeof type !== 'function') throw bad(`retry.retryFor[${i}]`, 'an error class', type)
    }
  }
  return { maxRetries, delayMs, factor, maxDelayMs, jitter }
}

function isAtLeast(x: unknown, least: number): x is number {
  return typeof x === 'number' && Number.isFinite(x) && x >= least
}

function bad(field: string, wanted: string, value: unknown): TaskError {
  return new TaskError('TASKS_OPTIONS', `${field} must be ${wanted}, not ${String(value)}`)
}

/**
 * Milliseconds to wait after attempt number `attempt` (from 1) has failed: delay × factor^(attempt - 1), capped, then jitter.
 * @param random01 a random number in [0, 1)
 */
export function retryDelay(data: RetryData, attempt: number, random01: number): number {
  // The factor may overflow to infinity, and 0 × infinity is not a number.
  const delay = data.delayMs === 0 ? 0 : Math.min(data.delayMs * data.factor ** (attempt - 1), data.maxDelayMs)
  if (data.jitter === 'none') return Math.round(delay)
  const spread = data.jitter === 'full' ? 1 : data.jitter
  return Math.round(delay * (1 - spread * random01))
}

// Trying again cannot help: the same bytes meet the same code.
const NEVER = new Set([
  'TASKS_VETOED',
  'TASKS_NON_RETRYABLE',
  'TASKS_ARGUMENTS',
  'TASKS_SCHEMA',
  'TASKS_OPTIONS',
  'TASKS_CANCELLED',
  'TASKS_UNENCODABLE',
  'TASKS_UNSUPPORTED',
  'TASKS_UNDECODABLE',
  'TASKS_VALUE_TOO_LARGE',
  'TASKS_DEFINITION_INVALID',
  'TASKS_DEFINITION_TOO_LARGE',
  'TASKS_DUPLICATE_TASK',
  'TASKS_ID_INVALID',
  'TASKS_NOT_IMPLEMENTED',
])

/**
 * Whether the error is of a kind to try again; how often is the owner's business.
 * A RetryAfterError always is. A predicate that throws says no.
 * @param policy the policy that the task was bound with, if any
 */
export function isRetryable(error: unknown, policy?: RetryPolicy): boolean {
  if (RetryAfterError.is(error)) return true
  if (TaskError.is(error) && NEVER.has(error.code)) return false
  const retryFor = policy?.retryFor
  if (retryFor === undefined) return true
  if (typeof retryFor === 'function') {
    try {
      return Boolean(retryFor(error))
    } catch {
      return false
    }
  }
  return retryFor.some((type) => error instanceof type || isNamed(error, type.name))
}

// An error of another realm, or of another copy of a package, has a class of the same name and not the same class.
function isNamed(error: unknown, name: string): boolean {
  if (typeof error !== 'object' || error === null || name === '') return false
  if ((error as Error).name === name) return true
  for (let at: unknown = Object.getPrototypeOf(error); at !== null; at = Object.getPrototypeOf(at)) {
    if ((at as { constructor?: { name?: unknown } }).constructor?.name === name) return true
  }
  return false
}
