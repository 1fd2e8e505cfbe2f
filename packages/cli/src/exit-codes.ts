// What a command tells the shell. The table of the README and of `--help` is this one.
import { TaskError, type TaskErrorCode } from '@tasks/core'

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unavailable: 4,
  refused: 5,
  /** As a shell shows it: 128 and the number of the signal. */
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

export const exitCodeMeanings: readonly (readonly [code: ExitCode, meaning: string])[] = [
  [exitCodes.ok, 'done'],
  [exitCodes.failed, 'the run failed or was cancelled; an error that has no other number'],
  [exitCodes.usage, 'wrong usage or configuration: nothing was sent'],
  [exitCodes.notFound, 'no such pipeline, dead letter, task or store'],
  [
    exitCodes.unavailable,
    'the transport or its owners did not answer, or --timeout is over; a run that was submitted goes on',
  ],
  [
    exitCodes.refused,
    'refused: the id is taken, the command is not for its status, or the store is newer, foreign, unsafe, damaged, or cannot do it',
  ],
  [exitCodes.interrupted, 'interrupted by SIGINT (143: by SIGTERM); a worker that drained to the end gives 0'],
]

const BY_ERROR: Readonly<Partial<Record<TaskErrorCode, ExitCode>>> = {
  TASKS_ARGUMENTS: exitCodes.usage,
  TASKS_OPTIONS: exitCodes.usage,
  TASKS_CONFIG: exitCodes.usage,
  TASKS_NO_TASKS: exitCodes.usage,
  TASKS_ID_INVALID: exitCodes.usage,
  TASKS_DUPLICATE_TASK: exitCodes.usage,
  TASKS_UNKNOWN_SCHEME: exitCodes.usage,
  TASKS_MISSING_PACKAGE: exitCodes.usage,
  TASKS_DEFINITION_INVALID: exitCodes.usage,
  TASKS_DEFINITION_TOO_LARGE: exitCodes.usage,
  TASKS_UNENCODABLE: exitCodes.usage,
  TASKS_VALUE_TOO_LARGE: exitCodes.usage,
  TASKS_NOT_FOUND: exitCodes.notFound,
  TASKS_UNKNOWN_TASK: exitCodes.notFound,
  TASKS_UNAVAILABLE: exitCodes.unavailable,
  TASKS_RESULT_TIMEOUT: exitCodes.unavailable,
  TASKS_CLOSED: exitCodes.unavailable,
  TASKS_ID_EXISTS: exitCodes.refused,
  TASKS_FULL: exitCodes.refused,
  TASKS_ID_CONFLICT: exitCodes.refused,
  TASKS_STATUS: exitCodes.refused,
  TASKS_UNSUPPORTED: exitCodes.refused,
  TASKS_PARTITIONS_MISMATCH: exitCodes.refused,
  TASKS_STORE_NEWER: exitCodes.refused,
  TASKS_STORE_FOREIGN: exitCodes.refused,
  TASKS_STORE_UNSAFE: exitCodes.refused,
  TASKS_STORE_CORRUPT: exitCodes.refused,
}

export function exitCodeOf(error: unknown): ExitCode {
  return (TaskError.is(error) ? BY_ERROR[error.code as TaskErrorCode] : undefined) ?? exitCodes.failed
}
