/** Messages of one commit, or of a blob that is dropped, are many: these bound what is in memory and on its way at once. */
export const MAX_COMMIT_BYTES = 32 * 1024 * 1024
export const MAX_COMMIT_ITEMS = 10_000
/** An event is kept for a week, as long as those of a namespace are not more than this. */
export const EVENTS_KEPT_MS = 7 * 24 * 3_600_000
export const EVENTS_KEPT_BYTES = 64 * 1024 * 1024
/** Levels 0 and 1: each has a consumer of its own, which every idle worker keeps asking. */
export const PRIORITIES = 2
export const DEFAULT_PARTITIONS = 16
export const MAX_PARTITIONS = 1024

/** What a message carries beside its body: its frame with an id of 256 bytes, or what is said of a dead letter. */
const RESERVED_BYTES = 32 * 1024
/** A server may be set up for less: then nothing that the engine makes fits. */
const LEAST_PAYLOAD = 64 * 1024

/** The largest body of one message on a server with this `max_payload`. */
export function maxMessageBytes(maxPayload: number): number {
  return maxPayload - RESERVED_BYTES
}

export function isPayloadTooSmall(maxPayload: number): boolean {
  return maxPayload < LEAST_PAYLOAD
}

/** What may stand in a dead letter beside its body. */
export const MAX_LETTER_BYTES = RESERVED_BYTES - 1024
