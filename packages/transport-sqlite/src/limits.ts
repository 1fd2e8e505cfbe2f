export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
export const MAX_COMMIT_BYTES = 64 * 1024 * 1024
export const MAX_COMMIT_ITEMS = 20_000
/** One batch of messages is read into memory at once: beyond this it is shorter than asked for. */
export const MAX_BATCH_BYTES = 64 * 1024 * 1024
/** Unless the opener asks otherwise; the bytes are shared by the partitions. */
export const EVENTS_KEPT_MS = 7 * 24 * 3_600_000
export const EVENTS_KEPT_BYTES = 256 * 1024 * 1024
/** Levels 0 to 9. */
export const PRIORITIES = 10

/** The most messages, of those asked for, whose bodies fit into one batch; at least one. `bytes` tells the size of the first n. */
export function fitting(max: number, bytes: (count: number) => number): number {
  let count = max
  while (count > 1 && bytes(count) > MAX_BATCH_BYTES) count = Math.ceil(count / 2)
  return count
}
