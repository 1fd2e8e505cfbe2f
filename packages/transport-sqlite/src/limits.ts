import type { Commit } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'

export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
export const MAX_COMMIT_BYTES = 64 * 1024 * 1024
export const MAX_COMMIT_ITEMS = 20_000
/** One batch of messages is read into memory at once: beyond this it is shorter than asked for. */
export const MAX_BATCH_BYTES = 64 * 1024 * 1024
/** Levels 0 to 9. */
export const PRIORITIES = 10

/** The sends' own sizes are the outbox's to check. */
export function refuseTooLargeCommit(commit: Commit): void {
  const items = commit.rows.size + commit.sends.length
  if (items > MAX_COMMIT_ITEMS) {
    throw new TaskError(
      'TASKS_TOO_LARGE',
      `commit ${commit.seq} has ${items} rows and sends; at most ${MAX_COMMIT_ITEMS} are allowed`,
      {
        details: { items, limit: MAX_COMMIT_ITEMS },
      },
    )
  }
  let bytes = 0
  for (const value of commit.rows.values()) bytes += value?.byteLength ?? 0
  for (const send of commit.sends) bytes += send.body.byteLength
  if (bytes > MAX_COMMIT_BYTES) {
    throw new TaskError(
      'TASKS_TOO_LARGE',
      `commit ${commit.seq} has ${bytes} bytes; at most ${MAX_COMMIT_BYTES} are allowed`,
      {
        details: { bytes, limit: MAX_COMMIT_BYTES },
      },
    )
  }
}

/** The most messages, of those asked for, whose bodies fit into one batch; at least one. `bytes` tells the size of the first n. */
export function fitting(max: number, bytes: (count: number) => number): number {
  let count = max
  while (count > 1 && bytes(count) > MAX_BATCH_BYTES) count = Math.ceil(count / 2)
  return count
}
