// A list, with what was taken from it beside it: Redis itself forgets what it has handed out.
import { createHash, randomUUID } from 'node:crypto'
import type { QueueDriver, QueueMessage } from '../queue-driver'
import { LEASE_MS, POLL_MS, receive, type RedisCommands, type RedisQueueOptions } from './commands'

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

// Bodies by id, ids by the end of their lease, and how often each was handed out: first what has come back, then what is new.
const TAKE = new Script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, leaseMs, name = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local messages = {}
local function hand_out(id, body)
  redis.call('ZADD', KEYS[3], now + leaseMs, id)
  messages[#messages + 1] = { id, body, redis.call('HINCRBY', KEYS[4], id, 1) }
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, most)) do
  hand_out(id, redis.call('HGET', KEYS[2], id))
end
while #messages < most do
  local body = redis.call('LPOP', KEYS[1])
  if not body then break end
  local id = name .. '.' .. #messages
  redis.call('HSET', KEYS[2], id, body)
  hand_out(id, body)
end
return messages`)

const FORGET = new Script(`
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])`)

// Its lease is over: the next who looks has it, under the same id.
const GIVE_BACK = new Script(`
return redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])`)

/**
 * Messages that others push to the right of a list (RPUSH). They are taken from its left; what is taken and not acknowledged is in the hash `<key>:taken`,
 * `<key>:leases` says until when, and `<key>:deliveries` how often.
 */
export function redisList({ client, key, leaseMs = LEASE_MS, pollMs = POLL_MS }: RedisQueueOptions): QueueDriver {
  const [taken, leases, deliveries] = [`${key}:taken`, `${key}:leases`, `${key}:deliveries`]
  const take = async (most: number): Promise<readonly QueueMessage[]> => {
    const keys = [key, taken, leases, deliveries]
    const messages = (await TAKE.run(client, keys, [most, leaseMs, randomUUID()])) as [string, string, number][]
    return messages.map(([id, body, times]) => ({ id, body, deliveries: times, token: id }))
  }
  return {
    receive: (most, signal) => receive(() => take(most), pollMs, signal),
    async acknowledge(token) {
      await FORGET.run(client, [taken, leases, deliveries], [token])
    },
    async giveBack(token) {
      await GIVE_BACK.run(client, [leases], [token])
    },
  }
}
