// The connections of a transport: made by ioredis from the user's own settings, apart from those that decide what becomes of a call when a connection breaks.
import type { Clock } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { RedisOptions } from 'ioredis'
import { Redis } from 'ioredis'

/** Ours, whatever the user's say; connection.ts has the reasons. */
function ours(clock: Clock) {
  return {
    lazyConnect: true,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: null,
    enableAutoPipelining: false,
    enableReadyCheck: true,
    reconnectOnError: null,
    replyMapping: 'legacy',
    stringNumbers: false,
    // Else as long as a server that starts thinks it needs to load its data, which at first is nonsense: up to ten seconds, for two.
    maxLoadingRetryTime: 100,
    // For ever, soon at first.
    retryStrategy: (times: number) => Math.min(20 * 2 ** Math.min(times, 7), 2_000) * (0.5 + clock.random() / 2),
  } as const satisfies RedisOptions
}

/** Unless the user says otherwise: one that takes a connection and does not answer must not keep the others from being asked. */
const SENTINEL_MS = 1_000

/** `messages`: the one on which messages arrive. By RESP3 it takes calls too, if ioredis and the user's settings have that. */
export type NewClient = (messages: boolean) => Redis

const forCalls = { protocol: 2 } as const satisfies RedisOptions

/** Whether a client that has subscribed to channels takes calls. To be asked when it is connected. */
export function takesCalls({ condition }: Redis): boolean {
  return (condition as { readonly protocol?: number } | null | undefined)?.protocol === 3
}

/** Makes clients that connect as this one does. It is not used itself. */
export function likeClient(client: Redis, clock: Clock): NewClient {
  // A Cluster, of any copy of ioredis.
  if ((client as { isCluster?: boolean }).isCluster === true) throw noCluster()
  refuseKeyPrefix(client.options)
  const { sentinelCommandTimeout = SENTINEL_MS } = client.options
  return (messages) => client.duplicate({ sentinelCommandTimeout, ...ours(clock), ...(messages ? {} : forCalls) })
}

export function withOptions(options: RedisOptions, url: string | undefined, clock: Clock): NewClient {
  refuseKeyPrefix(options)
  return (messages) => {
    const all = { sentinelCommandTimeout: SENTINEL_MS, ...options, ...ours(clock), ...(messages ? {} : forCalls) }
    return url === undefined ? new Redis(all) : new Redis(url, all)
  }
}

export function noCluster(): TaskError {
  return new TaskError(
    'TASKS_UNSUPPORTED',
    'Redis Cluster is not supported: wake-ups are published to the connections of one server. Use one primary, with Sentinel for failover',
  )
}

function refuseKeyPrefix({ keyPrefix }: RedisOptions): void {
  if (keyPrefix === undefined || keyPrefix === '') return
  throw new TaskError(
    'TASKS_OPTIONS',
    `keyPrefix "${String(keyPrefix)}" would apply to keys and not to channels; use the option prefix of redisTransport instead`,
  )
}
