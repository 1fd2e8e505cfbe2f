// A stream, by a consumer group, which keeps what it has handed out until it is acknowledged.
import type { QueueDriver, QueueMessage } from '../queue-driver'
import { LEASE_MS, POLL_MS, receive, type RedisQueueOptions } from './commands'

export interface RedisStreamOptions extends RedisQueueOptions {
  /** Who reads together. It is made if it is not there. Default `tasks`. */
  readonly group?: string
  /** Where a new group begins: `0`, the beginning, or `$`, what comes from now on. Default `0`. */
  readonly from?: string
  /** The field that is the message. Default: all of them, as an object of texts. */
  readonly field?: string
}

type Entry = readonly [id: string, fields: readonly string[]]

const START = '0-0'

/** Entries of a stream, by a consumer group: each goes to one of those who wait. */
export function redisStream(options: RedisStreamOptions): QueueDriver {
  const { client, key, group = 'tasks', from = '0', field, leaseMs = LEASE_MS, pollMs = POLL_MS } = options
  // All processes are one consumer: who has an entry does not matter, only for how long.
  const consumer = 'tasks'
  // One look goes over some of what is held, and says where the next one goes on: what is late may stand behind much that is not.
  let cursor = START

  const late = async (most: number): Promise<readonly QueueMessage[]> => {
    const claim = ['XAUTOCLAIM', key, group, consumer, leaseMs, cursor, 'COUNT', most] as const
    const [next, claimed] = (await client.call(...claim)) as [string, readonly (Entry | null)[]]
    cursor = next
    // Null, until Redis 7: it was deleted from the stream.
    const entries = claimed.filter((entry) => entry !== null)
    const deliveries = await Promise.all(entries.map(([id]) => deliveriesOf(id)))
    return entries.map((entry, i) => messageOf(entry, deliveries[i]!))
  }
  const deliveriesOf = async (id: string): Promise<number> => {
    const [pending] = (await client.call('XPENDING', key, group, id, id, 1)) as readonly (readonly unknown[])[]
    // Without: somebody has acknowledged it meanwhile.
    return Number(pending?.[3] ?? 1)
  }
  const fresh = async (most: number): Promise<readonly QueueMessage[]> => {
    const read = ['XREADGROUP', 'GROUP', group, consumer, 'COUNT', most, 'STREAMS', key, '>'] as const
    return entriesIn(await client.call(...read)).map((entry) => messageOf(entry, 1))
  }
  const messageOf = ([id, fields]: Entry, deliveries: number): QueueMessage => ({
    id,
    body: bodyOf(fields, field),
    deliveries,
    token: id,
  })
  const take = async (most: number): Promise<readonly QueueMessage[]> => {
    const again = await late(most)
    return again.length < most ? [...again, ...(await fresh(most - again.length))] : again
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
