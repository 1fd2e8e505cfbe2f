// A script runs alone: what is large holds up everybody else. Larger values are blobs, read and written in pieces.
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
export const MAX_COMMIT_BYTES = 32 * 1024 * 1024
export const MAX_COMMIT_ITEMS = 10_000
/** Unless the opener asks otherwise; the bytes are shared by the partitions. */
export const EVENTS_KEPT_MS = 7 * 24 * 3_600_000
export const EVENTS_KEPT_BYTES = 64 * 1024 * 1024
/** Levels 0 to 9. */
export const PRIORITIES = 10
export const DEFAULT_PARTITIONS = 16
export const MAX_PARTITIONS = 1024
