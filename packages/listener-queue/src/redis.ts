// Lists and streams of Redis 6.2 and newer, Valkey too, by one connection that others may use as well: nothing blocks it. While somebody waits, one command is sent every
// `pollMs`, however many wait.
import { createHash, randomUUID } from 'node:crypto'
import { pause } from './pause'
import type { QueueDriver, QueueMessage } from './queue-driver'

/** What a driver asks of a client: ioredis has it; for node-redis, `{ call: (...words) => client.sendCommand(words.map(String)) }`. */
export interface RedisCommands {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
}

export interface RedisQueueOptions {
  readonly client: RedisCommands
  readonly key: string
  /** How long a message is kept from others before it is handed out again, in ms. Longer than a worker's lease, which is 10 s. Default 60,000. */
  readonly leaseMs?: number
  /** How often an empty queue is looked at while somebody waits, in ms. Default 100. */
  readonly pollMs?: number
}

export interface RedisStreamOptions extends RedisQueueOptions {
  /** Who reads together. It is made if it is not there. Default `tasks`. */
  readonly group?: string
  /** Where a new group begins: `0`, the beginning, or `$`, what comes from now on. Default `0`. */
  readonly from?: string
  /** The field that is the message. Default: all of them, as an object of texts. */
  readonly field?: string
}

const LEASE_MS = 60_000
const POLL_MS = 100
const WAIT_MS = 1_000

/** Asks again and again, for a second. */
async function receive(
  take: () => Promise<readonly QueueMessage[]>,
  pollMs: number,
  signal: AbortSignal,
): Promise<readonly QueueMessage[]> {
  for (const until = performance.now() + WAIT_MS; !signal.aborted; await pause(pollMs, signal)) {
    const messages = await take()
    if (messages.length > 0 || performance.now() > until) return messages
  }
  return []
}

// ---- Lists ---------------------------------------------------------------------------------------------------------

class Script {
  readonly #text: string
  readonly #hash: string

  constructor(text: string) {
    this.#text = text
    this.#hash = createHash('sha1').update(text).digest('hex')
  }

  async run(client: RedisCommands, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await client.call('EVALSHA', this.#hash, keys.length, ...keys, ...args)
    } catch (error) {
      if (!String(error).includes('NOSCRIPT')) throw error
      return client.call('EVAL', this.#text, keys.length, ...keys, ...args)
    }
  }
}

// Bodies by id, and ids by the end of their lease: first what has come back, then what is new.
const TAKE = new Script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, leaseMs, name = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZADD', KEYS[3], now + leaseMs, id)
  taken[#taken + 1] = id
  taken[#taken + 1] = redis.call('HGET', KEYS[2], id)
end
while #taken < 2 * most do
  local body = redis.call('LPOP', KEYS[1])
  if not body then break end
  local id = name .. '.' .. #taken / 2
  redis.call('HSET', KEYS[2], id, body)
  redis.call('ZADD', KEYS[3], now + leaseMs, id)
  taken[#taken + 1] = id
  taken[#taken + 1] = body
end
return taken`)

const FORGET = new Script(`
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])`)

// Its lease is over: the next who looks has it, under the same id.
const GIVE_BACK = new Script(`
return redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])`)

/**
 * Messages that others push to the right of a list (RPUSH). They are taken from its left; what is taken and not acknowledged is in the hash `<key>:taken`, and
 * `<key>:leases` says until when.
 */
export function redisList({ client, key, leaseMs = LEASE_MS, pollMs = POLL_MS }: RedisQueueOptions): QueueDriver {
  const [taken, leases] = [`${key}:taken`, `${key}:leases`]
  const take = async (most: number): Promise<readonly QueueMessage[]> => {
    const found = (await TAKE.run(client, [key, taken, leases], [most, leaseMs, randomUUID()])) as string[]
    return Array.from({ length: found.length / 2 }, (_, i) => {
      const [id, body] = [found[2 * i]!, found[2 * i + 1]!]
      return { id, body, token: id }
    })
  }
  return {
    receive: (most, signal) => receive(() => take(most), pollMs, signal),
    async acknowledge(token) {
      await FORGET.run(client, [taken, leases], [token])
    },
    async giveBack(token) {
      await GIVE_BACK.run(client, [leases], [token])
    },
  }
}

// ---- Streams -------------------------------------------------------------------------------------------------------

type Entry = readonly [id: string, fields: readonly string[] | null]

/** Entries of a stream, by a consumer group: each goes to one of those who wait. */
export function redisStream(options: RedisStreamOptions): QueueDriver {
  const { client, key, group = 'tasks', from = '0', field, leaseMs = LEASE_MS, pollMs = POLL_MS } = options
  // All processes are one consumer: who has an entry does not matter, only for how long.
  const consumer = 'tasks'
  const take = async (most: number): Promise<readonly QueueMessage[]> => {
    const claim = ['XAUTOCLAIM', key, group, consumer, leaseMs, '0', 'COUNT', most] as const
    const [, late] = (await client.call(...claim)) as [string, readonly Entry[]]
    const left = most - late.length
    const read = ['XREADGROUP', 'GROUP', group, consumer, 'COUNT', left, 'STREAMS', key, '>'] as const
    const fresh = left > 0 ? entriesIn(await client.call(...read)) : []
    return [...late, ...fresh].flatMap(([id, fields]) =>
      // Null: it was deleted from the stream.
      fields === null ? [] : [{ id, body: bodyOf(fields, field), token: id }],
    )
  }
  const makeGroup = async (): Promise<void> => {
    await client.call('XGROUP', 'CREATE', key, group, from, 'MKSTREAM').catch((error: unknown) => {
      if (!String(error).includes('BUSYGROUP')) throw error
    })
  }
  return {
    async receive(most, signal) {
      try {
        return await receive(() => take(most), pollMs, signal)
      } catch (error) {
        if (!String(error).includes('NOGROUP')) throw error
        await makeGroup()
        return receive(() => take(most), pollMs, signal)
      }
    },
    async acknowledge(token) {
      await client.call('XACK', key, group, token)
    },
    async giveBack(token) {
      await client.call('XCLAIM', key, group, consumer, 0, token, 'IDLE', leaseMs, 'JUSTID')
    },
  }
}

/** Of the one stream that was read: a list of pairs in RESP 2, a map in RESP 3, which ioredis gives as keys and values in turn. */
function entriesIn(reply: unknown): readonly Entry[] {
  const [first, second] = (reply ?? []) as readonly unknown[]
  return ((Array.isArray(first) ? first[1] : second) ?? []) as readonly Entry[]
}

function bodyOf(fields: readonly string[], field: string | undefined): string {
  const named = Object.fromEntries(
    Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i]!, fields[2 * i + 1]!] as const),
  )
  // Without that field: what is no JSON, so that the listener says so.
  return field === undefined ? JSON.stringify(named) : (named[field] ?? '')
}
