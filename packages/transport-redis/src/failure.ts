// What an error of the server or of the connection means for the call that got it.
import { TaskError } from '@tasks/core/adapter'

/** The call has had no effect, and may have one soon: a server that starts, or a replica that has just lost its part. */
const PASSING = /^(LOADING|BUSY|READONLY|MASTERDOWN|NOREPLICAS|TRYAGAIN)\b/

/** What the server says of a script's first write that it does not take: of later ones it does not. Or of a script that was stopped, which only one that has not written is. */
const BEFORE_WRITING = /^(OOM|MISCONF|READONLY|NOREPLICAS)\b|Script killed by user/
/** How an error ends that a script has raised. One that it has answered with does not end so. */
const RAISED = / script: [0-9a-f]{40}, on @user_script/

const ADVICE: readonly (readonly [pattern: RegExp, code: string, advice: string])[] = [
  [
    /^OOM\b/,
    'TASKS_UNAVAILABLE',
    'the server is out of memory (maxmemory); give it more, or let workers finish what waits: settling tasks and ending pipelines is not refused',
  ],
  [/^MISCONF\b/, 'TASKS_UNAVAILABLE', 'the server cannot write to its disk'],
  [/^(WRONGPASS|NOAUTH)\b/, 'TASKS_UNAVAILABLE', 'user or password are wrong or missing'],
  [
    /^NOPERM\b|user executing the script can't/,
    'TASKS_UNAVAILABLE',
    'the user may not do this; the README has the ACL that suffices',
  ],
  [
    /^WRONGTYPE\b|WRONGTYPE Operation/,
    'TASKS_STORE_FOREIGN',
    'a key of this prefix belongs to another program; choose another prefix',
  ],
]

export function isPassing(error: unknown): boolean {
  return isReply(error) && PASSING.test(error.message)
}

export function isUnknownScript(error: unknown): boolean {
  return isReply(error) && error.message.startsWith('NOSCRIPT')
}

/** This connection leads to a server that does not take writes any more: the next one may lead to another. */
export function wantsAnotherServer(error: unknown): boolean {
  return isReply(error) && error.message.startsWith('READONLY')
}

/** What ioredis says of a call that it has not sent: there was no connection, and no queue is kept. */
export function isUnsent(error: unknown): boolean {
  return error instanceof Error && error.message.includes('enableOfflineQueue')
}

/** An error that the server has answered with. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

/**
 * The server's answer as a typed error. What it refuses, it has refused whole, unless it was in the middle of a script: nothing is rolled back. Scripts look at what
 * they can before they write, and answer with what they find; so what they raise may have come in between.
 */
export function refused(error: unknown, what: string): TaskError {
  const text = error instanceof Error ? error.message : String(error)
  const [, code = 'TASKS_UNAVAILABLE', advice] = ADVICE.find(([pattern]) => pattern.test(text)) ?? []
  return new TaskError(code, `${what}: ${advice === undefined ? '' : `${advice}: `}${text}`, {
    cause: error,
    details: { applied: RAISED.test(text) && !BEFORE_WRITING.test(text) ? 'unknown' : 'no' },
  })
}

export function unavailable(what: string, why: string, applied: 'no' | 'unknown', cause?: unknown): TaskError {
  return new TaskError('TASKS_UNAVAILABLE', `${what}: ${why}`, { cause, details: { applied } })
}

/** Whether it is certain that what failed with this error has had no effect. */
export function isCertain(error: unknown): boolean {
  return TaskError.is(error) && error.details?.['applied'] === 'no'
}
