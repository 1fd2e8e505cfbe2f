// What a broker's error codes mean here.

/** The request came to a broker that does not lead the partition, or it has no leader: nothing was done, and another may be asked. */
const MOVED = new Set([3, 5, 6, 8, 9, 13, 56, 74, 75, 78])
/** Not enough replicas are there: nothing was done, and they may come. */
const NOT_YET = new Set([19])
/** It may have been done. */
const IN_DOUBT = new Set([-1, 7, 20])
/** The coordinator of a transaction is elsewhere, or not ready. */
const COORDINATOR_MOVED = new Set([14, 15, 16])
/** Another producer has the transactional id now, or the broker has ended the transaction by itself. */
const FENCED = new Set([47, 48, 49, 52, 90])
const FORBIDDEN = new Set([29, 30, 31, 53, 54])

export const Code = {
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC: 3,
  TOPIC_EXISTS: 36,
  NOT_CONTROLLER: 41,
  CONCURRENT_TRANSACTIONS: 51,
} as const

export type Meaning =
  | 'moved'
  | 'not yet'
  | 'in doubt'
  | 'coordinator moved'
  | 'busy'
  | 'fenced'
  | 'forbidden'
  | 'refused'

export function meaningOf(code: number): Meaning {
  if (MOVED.has(code)) return 'moved'
  if (NOT_YET.has(code)) return 'not yet'
  if (IN_DOUBT.has(code)) return 'in doubt'
  if (COORDINATOR_MOVED.has(code)) return 'coordinator moved'
  if (code === Code.CONCURRENT_TRANSACTIONS) return 'busy'
  if (FENCED.has(code)) return 'fenced'
  if (FORBIDDEN.has(code)) return 'forbidden'
  return 'refused'
}

const NAMES: Readonly<Record<number, string>> = {
  [-1]: 'UNKNOWN_SERVER_ERROR',
  1: 'OFFSET_OUT_OF_RANGE',
  2: 'CORRUPT_MESSAGE',
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  5: 'LEADER_NOT_AVAILABLE',
  6: 'NOT_LEADER_OR_FOLLOWER',
  7: 'REQUEST_TIMED_OUT',
  10: 'MESSAGE_TOO_LARGE',
  14: 'COORDINATOR_LOAD_IN_PROGRESS',
  15: 'COORDINATOR_NOT_AVAILABLE',
  16: 'NOT_COORDINATOR',
  17: 'INVALID_TOPIC',
  19: 'NOT_ENOUGH_REPLICAS',
  20: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  36: 'TOPIC_ALREADY_EXISTS',
  37: 'INVALID_PARTITIONS',
  38: 'INVALID_REPLICATION_FACTOR',
  40: 'INVALID_CONFIG',
  41: 'NOT_CONTROLLER',
  44: 'POLICY_VIOLATION',
  45: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
  47: 'INVALID_PRODUCER_EPOCH',
  48: 'INVALID_TXN_STATE',
  49: 'INVALID_PRODUCER_ID_MAPPING',
  50: 'INVALID_TRANSACTION_TIMEOUT',
  51: 'CONCURRENT_TRANSACTIONS',
  53: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  56: 'KAFKA_STORAGE_ERROR',
  59: 'UNKNOWN_PRODUCER_ID',
  89: 'THROTTLING_QUOTA_EXCEEDED',
  90: 'PRODUCER_FENCED',
}

/** For people. */
export function nameOf(code: number): string {
  return NAMES[code] ?? `error ${code}`
}
