// Describing work
export type { Failure } from './failure'
export { fromFailure, toFailure } from './failure'
export type { FailedTask, TaskErrorCode, TaskErrorOptions } from './errors'
export { NonRetryableError, RetryAfterError, TaskError, taskErrorCodes } from './errors'
export type { ErrorClass, RetryData, RetryPolicy } from './retry'
export type { StandardIssue, StandardResult, StandardSchema } from './schema'
