// What an error of the server or of the connection means for the call that got it.
import { TaskError } from '@tasks/core/adapter'

/** What the server has answered instead of doing it. */
export class Refusal extends Error {
  readonly code: number
  readonly errorCode: number

  constructor(code: number, errorCode: number, description: string) {
    super(description)
    this.code = code
    this.errorCode = errorCode
  }
}

/** The numbers that JetStream gives its errors. */
export const ERROR = {
  messageNotFound: 10037,
  consumerNotFound: 10014,
  consumerExists: 10148,
  consumerNameExists: 10013,
  streamNotFound: 10059,
  streamNameInUse: 10058,
  streamSubjectsOverlap: 10065,
  replicasNotSupported: 10074,
  noSuitablePeers: 10005,
  insufficientResources: 10023,
  storageExceeded: 10047,
  accountExceeded: 10002,
  /** Of a stream with limits, or a disk that takes no more. */
  notStored: 10077,
  jetStreamNotEnabled: 10076,
  jetStreamNotEnabledForAccount: 10039,
  wrongLastSequence: 10071,
  /** Of a cluster: another message to the subject is on its way, and may be stored or not. */
  sequenceOpen: 10164,
} as const

export function isRefusal(error: unknown, ...errorCodes: readonly number[]): error is Refusal {
  return error instanceof Refusal && (errorCodes.length === 0 || errorCodes.includes(error.errorCode))
}

/** Nobody listens: a stream that is not there, or whose servers are choosing a leader, or a server without JetStream. */
export function nobodyListens(): Refusal {
  return new Refusal(503, 0, 'no server answers for this stream')
}

/** It had no effect, and may have one soon: a leader is being chosen, or the server starts, or has not decided about what came before. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof Refusal)) return false
  const { code, errorCode } = error
  if (errorCode === ERROR.sequenceOpen) return true
  return code === 503 && errorCode !== ERROR.jetStreamNotEnabled && errorCode !== ERROR.jetStreamNotEnabledForAccount
}

const ADVICE: Readonly<Record<number, readonly [code: string, advice: string]>> = {
  [ERROR.jetStreamNotEnabled]: ['TASKS_UNSUPPORTED', 'the server runs without JetStream: start it with -js'],
  [ERROR.jetStreamNotEnabledForAccount]: ['TASKS_UNSUPPORTED', 'this account has no JetStream'],
  [ERROR.replicasNotSupported]: ['TASKS_OPTIONS', 'a server that is alone keeps one copy: replicas must be 1'],
  [ERROR.noSuitablePeers]: ['TASKS_UNAVAILABLE', 'the cluster has too few servers for that many replicas'],
  [ERROR.insufficientResources]: ['TASKS_UNAVAILABLE', 'the account or the server has no room left for it'],
  [ERROR.storageExceeded]: ['TASKS_UNAVAILABLE', 'the server has no storage left'],
  [ERROR.accountExceeded]: ['TASKS_UNAVAILABLE', 'the account has no storage left'],
  [ERROR.notStored]: ['TASKS_UNAVAILABLE', 'the stream or the disk of the server is full'],
  [ERROR.streamSubjectsOverlap]: ['TASKS_STORE_FOREIGN', 'another stream has these subjects; choose another prefix'],
}

/** The server's answer as a typed error. What it refuses has had no effect. */
export function refused(error: Refusal, what: string): TaskError {
  const [code = 'TASKS_UNAVAILABLE', advice] = ADVICE[error.errorCode] ?? []
  return new TaskError(code, `NATS: ${what}: ${advice === undefined ? '' : `${advice}: `}${error.message}`, {
    cause: error,
    details: { applied: 'no', code: error.code, errorCode: error.errorCode },
  })
}

export function forbidden(error: Error): TaskError {
  return new TaskError(
    'TASKS_UNAVAILABLE',
    `NATS: the user may not do this; the README has the permissions that suffice: ${error.message}`,
    { cause: error, details: { applied: 'no', forbidden: true } },
  )
}

export function unavailable(what: string, why: string, applied: 'no' | 'unknown', cause?: unknown): TaskError {
  return new TaskError('TASKS_UNAVAILABLE', `NATS: ${what}: ${why}`, { cause, details: { applied } })
}

/** Storage, a limit of the account or of a stream: there is no room. */
export function isFull(error: unknown): boolean {
  const { storageExceeded, accountExceeded, notStored, insufficientResources } = ERROR
  const full: readonly unknown[] = [storageExceeded, accountExceeded, notStored, insufficientResources]
  return TaskError.is(error) && full.includes(error.details?.['errorCode'])
}

/** Whether it is certain that what failed with this error has had no effect. */
export function isCertain(error: unknown): boolean {
  return TaskError.is(error) && error.details?.['applied'] === 'no'
}

/** It will not work the next time either. */
export function isForbidden(error: unknown): boolean {
  return TaskError.is(error) && error.details?.['forbidden'] === true
}

export function isFenced(error: unknown): boolean {
  return TaskError.is(error) && error.code === 'TASKS_FENCED'
}

export function isClosed(error: unknown): boolean {
  return TaskError.is(error) && error.code === 'TASKS_CLOSED'
}
