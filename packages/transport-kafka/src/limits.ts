// A message is a record, and Kafka takes no batch above 1 MiB unless it is told to. The rest is for its id, its place and what a dead letter says.
export const MAX_MESSAGE_BYTES = 960 * 1024
export const MAX_COMMIT_BYTES = 8 * 1024 * 1024
/** A transaction costs the same whatever it holds, so the engine is to put more inputs into a commit here than elsewhere. */
export const MAX_COMMIT_ITEMS = 16_000
/** Of the records of one batch. */
export const MAX_BATCH_BYTES = 1_000_000
/** Levels 0 to 9. */
export const PRIORITIES = 10
/** A commit costs the same whatever it holds, so few large ones do most: HOW_IT_WORKS.md has the measurement. */
export const DEFAULT_PARTITIONS = 4
export const MAX_PARTITIONS = 256
/** Heartbeats are a third of it apart, and whoever begins to read the owners' log late must hear one of each host: owners-state.ts. */
export const MAX_LEASE_MS = 5 * 60_000
