import { describeListener } from '@tasks/conformance/vitest'
import { waitForEvent } from '@tasks/core'
import { startRedis, type Server } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, test } from 'vitest'
import { queueListener, type QueueDriver } from '../src/index'
import { redisList, redisStream } from '../src/redis'
import { eventually } from './support/eventually'

/** Shorter than anybody's patience; longer than a busy machine stands still. */
const LEASE_MS = 1_000
const { signal } = new AbortController()

function onRedis(server: Server): void {
  const outside = new Redis(server.url)
  let keys = 0
  afterAll(async () => {
    outside.disconnect()
    await server.stop()
  })

  interface Kind {
    readonly driver: (client: Redis, key: string, leaseMs?: number) => QueueDriver
    readonly push: (key: string, body: string) => Promise<unknown>
    readonly held: (key: string) => Promise<number>
  }
  const list: Kind = {
    driver: (client, key, leaseMs = LEASE_MS) => redisList({ client, key, leaseMs, pollMs: 5 }),
    push: (key, body) => outside.rpush(key, body),
    held: async (key) => (await outside.llen(key)) + (await outside.hlen(`${key}:taken`)),
  }
  const stream: Kind = {
    driver: (client, key, leaseMs = LEASE_MS) => redisStream({ client, key, field: 'body', leaseMs, pollMs: 5 }),
    push: (key, body) => outside.xadd(key, '*', 'body', body),
    async held(key) {
      const [group] = (await outside.call('XINFO', 'GROUPS', key)) as [unknown[] | undefined]
      const facts = Object.fromEntries(
        Array.from({ length: (group?.length ?? 0) / 2 }, (_, i) => [group![2 * i], group![2 * i + 1]]),
      ) as { readonly pending?: number; readonly lag?: number | null }
      return (facts.pending ?? 0) + (facts.lag ?? 0)
    },
  }

  describe.each([
    ['list', list],
    ['stream', stream],
  ] as const)('a %s of Redis', (name, kind) => {
    const keyOf = (): string => `${name}:${keys++}`

    describeListener(`a ${name} of Redis`, {
      name: `redis ${name}`,
      create() {
        const key = keyOf()
        const sent = new Set<number>()
        const clients: Redis[] = []
        return {
          process(tasks) {
            const client = new Redis(server.url)
            clients.push(client)
            const retry = { maxRetries: 20, delayMs: 10 }
            const orders = tasks.bindListener('orders', queueListener<{ nth: number }>(kind.driver(client, key)), {
              retry,
            })
            const value = tasks.bind('value', (event: { value: { nth: number } }) => event.value)
            return { wait: () => waitForEvent(orders).continueWith(value), die: () => client.disconnect() }
          },
          async occur(nth) {
            sent.add(nth)
            await kind.push(key, JSON.stringify({ nth }))
            return { nth }
          },
          hasOccurred: (nth) => sent.has(nth),
          held: () => kind.held(key),
          close: () => clients.forEach((client) => client.disconnect()),
        }
      },
    })

    test('hands a message out again under its id when nobody has acknowledged it, and to one at a time', async () => {
      const key = keyOf()
      const driver = kind.driver(outside, key, 300)
      for (const body of ['a', 'b', 'c']) await kind.push(key, body)
      const first = await driver.receive(2, signal)
      expect(first.map(({ body }) => body)).toEqual(['a', 'b'])
      const other = await kind.driver(outside, key).receive(5, signal)
      expect(other.map(({ body }) => body)).toContain('c')
      await driver.acknowledge(first[0]!.token)
      await driver.acknowledge(other.find(({ body }) => body === 'c')!.token)
      const again = await eventually(async () => {
        const found = await driver.receive(5, signal)
        expect(found).toHaveLength(1)
        return found
      })
      expect(again[0]).toMatchObject({ id: first[1]!.id, body: 'b' })
      // By the token of the first time, in another process as it were; and twice.
      await kind.driver(outside, key).acknowledge(first[1]!.token)
      await driver.acknowledge(first[1]!.token)
      expect(await kind.held(key)).toBe(0)
    })

    test('hands out at once what was given back', async () => {
      const key = keyOf()
      const driver = kind.driver(outside, key, 60_000)
      await kind.push(key, 'a')
      const [message] = await driver.receive(1, signal)
      await driver.giveBack(message!.token)
      expect(await driver.receive(1, signal)).toEqual([message])
      await driver.acknowledge(message!.token)
      await driver.giveBack(message!.token)
      const stop = new AbortController()
      const empty = driver.receive(1, stop.signal)
      stop.abort()
      expect(await empty).toEqual([])
    })
  })

  test('a stream gives all fields where none is named, begins where it is told to, and skips what was deleted', async () => {
    const key = `fields:${keys++}`
    await outside.xadd(key, '*', 'old', 'yes')
    const latest = redisStream({ client: outside, key, group: 'late', from: '$', pollMs: 5 })
    const stop = new AbortController()
    const waiting = latest.receive(1, stop.signal)
    await eventually(async () => expect(await outside.call('XINFO', 'GROUPS', key)).toHaveLength(1))
    const gone = await outside.xadd(key, '*', 'a', '1', 'b', '2')
    expect((await waiting).map(({ body }) => JSON.parse(body) as unknown)).toEqual([{ a: '1', b: '2' }])
    await outside.xdel(key, gone!)
    const again = redisStream({ client: outside, key, group: 'late', leaseMs: 1, pollMs: 5 })
    const nothing = again.receive(1, stop.signal)
    stop.abort()
    expect(await nothing).toEqual([])
  })
}

const server = await serverOrReason(() => startRedis({ appendfsync: 'off' }))
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test('Redis', (ctx) => ctx.skip(server))
else onRedis(server)
