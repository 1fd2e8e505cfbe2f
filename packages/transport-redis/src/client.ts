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
    protocol: 2,
    replyMapping: 'legacy',
    // For ever, soon at first.
    retryStrategy: (times: number) => Math.min(20 * 2 ** Math.min(times, 7), 2_000) * (0.5 + clock.random() / 2),
  } as const satisfies RedisOptions
}

export type NewClient = () => Redis

/** Makes clients that connect as this one does. It is not used itself. */
export function likeClient(client: Redis, clock: Clock): NewClient {
  // A Cluster, of any copy of ioredis.
  if ((client as { isCluster?: boolean }).isCluster === true) throw noCluster()
  refuseKeyPrefix(client.options)
  return () => client.duplicate(ours(clock))
}

export function withOptions(options: RedisOptions, url: string | undefined, clock: Clock): NewClient {
  refuseKeyPrefix(options)
  const all = { ...options, ...ours(clock) }
  return () => (url === undefined ? new Redis(all) : new Redis(url, all))
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
