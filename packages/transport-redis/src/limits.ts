// A script runs alone: what is large holds up everybody else. Larger values are blobs, read and written in pieces.
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
export const MAX_COMMIT_BYTES = 32 * 1024 * 1024
export const MAX_COMMIT_ITEMS = 10_000
/** Levels 0 to 9. */
export const PRIORITIES = 10
export const DEFAULT_PARTITIONS = 16
export const MAX_PARTITIONS = 1024
