import { describeListener } from '@tasks/conformance/vitest'
import { waitForEvent } from '@tasks/core'
import { silentLogger } from '@tasks/core/testing'
import { startRedis, type Server } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { listenerStores } from '@tasks/listener-stores'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, test } from 'vitest'
import { queueListener, receiveMessages, type QueueDriver } from '../src/index'
import { redisList, redisStream, type RedisCommands } from '../src/redis'
import { eventually } from './support/eventually'

/** Shorter than anybody's patience; longer than a busy machine stands still. */
const LEASE_MS = 1_000
const { signal } = new AbortController()

async function onRedis(server: Server): Promise<void> {
  const stores = await listenerStores()
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

    for (const [where, store] of stores) {
      describeListener(`a ${name} of Redis, in ${where}`, {
        ...store,
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
    }

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
      expect([first[1]!.deliveries, again[0]!.deliveries > 1]).toEqual([1, true])
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
      expect(await driver.receive(1, signal)).toMatchObject([{ ...message, deliveries: expect.any(Number) }])
      await driver.acknowledge(message!.token)
      await driver.giveBack(message!.token)
      const stop = new AbortController()
      const empty = driver.receive(1, stop.signal)
      stop.abort()
      expect(await empty).toEqual([])
    })

    test('gets to the others although as many as it takes at a time cannot be handled, and gives those up in the end', async () => {
      const key = keyOf()
      for (const body of ['bad', 'bad', '1', '2', '3']) await kind.push(key, body)
      const seen = new Set<string>()
      const given = new Map<string, number>()
      const receiver = receiveMessages<string>(
        kind.driver(outside, key, 300),
        ({ value }) => {
          if (value === 'bad') throw new Error('it is bad')
          seen.add(value)
        },
        {
          concurrency: 2,
          decode: (body) => body,
          maxDeliveries: 2,
          giveUp: ({ id, deliveries }) => given.set(id, deliveries),
          logger: silentLogger,
        },
      )
      await eventually(() => expect([...seen].sort()).toEqual(['1', '2', '3']))
      await eventually(async () => expect(await kind.held(key)).toBe(0))
      expect([...given.values()].filter((deliveries) => deliveries >= 2)).toHaveLength(2)
      await receiver.close()
    })
  })

  test('a stream finds what is late behind much that is not', async () => {
    const key = `late:${keys++}`
    const others = redisStream({ client: outside, key, group: 'g', pollMs: 5 })
    const ids = await Promise.all(Array.from({ length: 30 }, () => outside.xadd(key, '*', 'a', '1')))
    expect(await others.receive(30, signal)).toHaveLength(30)
    // Held for long but the last of them, of whose holder nothing was heard.
    const last = ids.map(String).sort().at(-1)!
    await outside.call('XCLAIM', key, 'g', 'tasks', 0, last, 'IDLE', 60_000, 'JUSTID')
    const driver = redisStream({ client: outside, key, group: 'g', leaseMs: 50_000, pollMs: 5 })
    expect(await driver.receive(1, signal)).toMatchObject([{ id: last }])
  })

  test('a stream of Redis 6.2, which answers with nothing in the place of what was deleted', async () => {
    const key = `old:${keys++}`
    const old: RedisCommands = {
      async call(command, ...args) {
        const reply = await outside.call(command, ...args)
        if (command !== 'XAUTOCLAIM') return reply
        const [cursor, entries, deleted] = reply as [string, unknown[], string[]]
        return [cursor, [...deleted.map(() => null), ...entries]]
      },
    }
    const driver = redisStream({ client: old, key, leaseMs: 1, pollMs: 5, field: 'body' })
    const gone = await outside.xadd(key, '*', 'body', 'a')
    await outside.xadd(key, '*', 'body', 'b')
    expect(await driver.receive(2, signal)).toHaveLength(2)
    await outside.xdel(key, gone!)
    await eventually(async () => expect(await driver.receive(2, signal)).toMatchObject([{ body: 'b' }]))
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
else await onRedis(server)
