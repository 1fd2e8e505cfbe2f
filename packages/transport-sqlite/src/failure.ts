// What SQLite's errors mean to us: each becomes a TaskError that names the file.
import { TaskError } from '@tasks/core/adapter'

// Primary result codes of sqlite3.h; the extended ones carry theirs in the low byte.
const NONE = 0
const ERROR = 1
const BUSY = 5
const LOCKED = 6
const READONLY = 8
const IOERR = 10
const CORRUPT = 11
const FULL = 13
const CANTOPEN = 14
const PROTOCOL = 15
const TOOBIG = 18
const NOTADB = 26

export function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  // PROTOCOL: the locks of the log's index were taken by others for as long as SQLite itself tries.
  return code === BUSY || code === LOCKED || code === PROTOCOL
}

/** Whether ROLLBACK failed because there is no transaction. */
export function saysNothingIsOpen(error: unknown): boolean {
  return (resultCode(error) ?? ERROR) === ERROR
}

/** Whether the trouble is the file's, so that no other write would fare better. */
export function concernsFile(error: unknown): boolean {
  const code = resultCode(error)
  return code === IOERR || code === CORRUPT || code === NOTADB || code === READONLY || code === CANTOPEN
}

/** `inDoubt` says that it was COMMIT which failed, so that the write may have been stored all the same. */
export function failure(error: unknown, path: string, inDoubt = false): TaskError {
  if (TaskError.is(error)) return error
  const text = error instanceof Error ? error.message : String(error)
  const make = (code: string, message: string, applied = inDoubt ? 'unknown' : 'no'): TaskError =>
    new TaskError(code, `${path}: ${message}`, { cause: error, details: { path, applied } })
  switch (resultCode(error) ?? NONE) {
    case BUSY:
    case LOCKED:
    case PROTOCOL:
      return make('TASKS_UNAVAILABLE', 'another process holds the write lock of the file and does not let go')
    case FULL:
      // The mark that makes a transaction whole is written last.
      return make('TASKS_UNAVAILABLE', 'the disk is full; nothing was stored', 'no')
    case READONLY:
      return make('TASKS_UNAVAILABLE', 'the file, or its folder, cannot be written')
    case CANTOPEN:
      return make('TASKS_UNAVAILABLE', 'the file cannot be opened')
    case NOTADB:
      return make('TASKS_STORE_FOREIGN', 'this is not an SQLite file')
    case CORRUPT:
      return make('TASKS_STORE_CORRUPT', `the file is damaged (${text})`)
    case TOOBIG:
      return make('TASKS_TOO_LARGE', 'a value is over the limit of SQLite')
    default:
      return make('TASKS_UNAVAILABLE', text)
  }
}

/** The file of that name is not the one that is open. What has just been committed may be in the one or in none. */
export function replaced(path: string, applied: 'no' | 'unknown'): TaskError {
  return new TaskError(
    'TASKS_STORE_UNSAFE',
    `${path}: the file was removed or replaced while it was open; stop every process that has it open, see to it that the right file is there, and start them again`,
    { details: { path, applied } },
  )
}

/** Whether it is certain that the write which failed with this error was not stored. */
export function isCertain(error: unknown): boolean {
  return TaskError.is(error) && error.details?.['applied'] !== 'unknown'
}

/** Sleeps, and everything with it: for the rare waits of synchronous calls. */
export function blockFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
