// What is refused before it has any effect.
import { TaskError } from '../errors'
import type { Capabilities, Commit, Send } from '../transport'

/** Why this send may not be made, if it may not. */
export function refusal(send: Send, limits: Capabilities, partitions: number): TaskError | undefined {
  if (send.body.byteLength > limits.maxMessageBytes) {
    return new TaskError(
      'TASKS_TOO_LARGE',
      `send ${send.id}: ${send.body.byteLength} bytes, more than ${limits.maxMessageBytes}`,
      { details: { bytes: send.body.byteLength, limit: limits.maxMessageBytes } },
    )
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
  if (bytes > limits.maxCommitBytes)
    throw new TaskError('TASKS_TOO_LARGE', `commit ${commit.seq}: ${bytes} bytes, more than ${limits.maxCommitBytes}`, {
      details: { bytes, limit: limits.maxCommitBytes },
    })
}
