// What is refused before it has any effect.
import { TaskError } from '../errors'
import type { Bytes, Capabilities, Commit, Send } from '../transport'

/** Why this send may not be made, if it may not. */
export function refusal(send: Send, limits: Capabilities, partitions: number): TaskError | undefined {
  if (send.body.byteLength > limits.maxMessageBytes) {
    return tooLarge(`send ${send.id}`, send.body.byteLength, limits.maxMessageBytes)
  }
  const { target } = send
  if (
    (target.to === 'inbox' || target.to === 'events') &&
    !(Number.isInteger(target.partition) && target.partition >= 0 && target.partition < partitions)
  ) {
    return new TaskError(
      'TASKS_ARGUMENTS',
      `send ${send.id}: there is no partition ${target.partition}, only ${partitions}`,
    )
  }
  return undefined
}

/**
 * Before any effect of a call that sends.
 * @throws TaskError TASKS_TOO_LARGE, TASKS_ARGUMENTS for a partition that is not there: of the first send that may not be made
 */
export function checkSends(sends: readonly Send[], limits: Capabilities, partitions: number): void {
  for (const send of sends) {
    const error = refusal(send, limits, partitions)
    if (error !== undefined) throw error
  }
}

/**
 * Before any effect of a commit: its sends, and how much it is in all.
 * @throws TaskError as `checkSends`; TASKS_TOO_LARGE for too many items or bytes
 */
export function checkCommit(commit: Commit, limits: Capabilities, partitions: number): void {
  const items = commit.rows.size + commit.sends.length
  if (items > limits.maxCommitItems)
    throw new TaskError('TASKS_TOO_LARGE', `commit ${commit.seq}: ${items} items, more than ${limits.maxCommitItems}`, {
      details: { items, limit: limits.maxCommitItems },
    })
  checkSends(commit.sends, limits, partitions)
  let bytes = 0
  for (const value of commit.rows.values()) bytes += value?.byteLength ?? 0
  for (const { body } of commit.sends) bytes += body.byteLength
  if (bytes > limits.maxCommitBytes) throw tooLarge(`commit ${commit.seq}`, bytes, limits.maxCommitBytes)
}

/** @throws TaskError TASKS_TOO_LARGE */
export function checkSignal(body: Bytes, { maxMessageBytes }: Capabilities): void {
  if (body.byteLength > maxMessageBytes) throw tooLarge('a signal', body.byteLength, maxMessageBytes)
}

/**
 * A page of a blob.
 * @throws TaskError TASKS_TOO_LARGE
 */
export function checkPage(key: string, page: number, bytes: Bytes, maxPageBytes: number): void {
  if (bytes.byteLength > maxPageBytes) throw tooLarge(`page ${page} of blob ${key}`, bytes.byteLength, maxPageBytes)
}

function tooLarge(what: string, bytes: number, limit: number): TaskError {
  return new TaskError('TASKS_TOO_LARGE', `${what}: ${bytes} bytes, more than ${limit}`, { details: { bytes, limit } })
}
