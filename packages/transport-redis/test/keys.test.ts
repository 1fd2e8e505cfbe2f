// What is left on the server of work that is done.
import { createClient, createTasks, inParallel, startWorker } from '@tasks/core'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { redisTransport } from '../src/index'
import { newServer } from './support/server'

const NAMESPACE = 'keys'
const PARTITIONS = 4

test('what a receive that waits is known by expires, should its process be killed', async (ctx) => {
  const server = await newServer(ctx)
  const onServer = new Redis(server.url)
  onTestFinished(() => onServer.disconnect())
  const transport = redisTransport({ url: server.url })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: NAMESPACE, partitions: 1 })
  const receive = (leaseMs: number, ms: number): unknown =>
    space
      .consume({ queues: ['q'], leaseMs })
      .receive({ max: 1, waitMs: ms, suspects: false })
      .catch(() => {})
  const keys = [`{tasks:${NAMESPACE}}:waiting`, `{tasks:${NAMESPACE}}:q:q:waiters`]
  const left = () => Promise.all(keys.map((key) => onServer.pttl(key)))
  void receive(600_000, 30_000)
  await expect.poll(async () => Math.min(...(await left()))).toBeGreaterThan(1_200_000)
  // One that waits for less takes nothing from it.
  void receive(1_000, 30_000)
  await expect.poll(async () => onServer.zcard(keys[1]!)).toBe(2)
  for (const ms of await left()) {
    expect(ms).toBeGreaterThan(1_200_000)
    expect(ms).toBeLessThanOrEqual(1_260_000)
  }
})

test('a finished pipeline leaves no key behind after its retention, and no field', async (ctx) => {
  const server = await newServer(ctx)
  const onServer = new Redis(server.url)
  onTestFinished(() => onServer.disconnect())
  const transport = redisTransport({ url: server.url })
  onTestFinished(() => transport.close())

  const tasks = createTasks({ namespace: NAMESPACE })
  const large = tasks.bind('large', (size: number) => 'x'.repeat(size))
  const once = tasks.bind(
    'once',
    (n: number) => {
      if (n % 7 === 0) throw new Error('again')
      return n
    },
    { retry: { maxRetries: 1, delayMs: 1, jitter: 'none' } },
  )
  const count = tasks.bind('count', (results: unknown[]) => results.length)
  const lengths = tasks.bind('lengths', (texts: string[]) => texts.map((text) => text.length))

  const worker = await startWorker({
    tasks,
    transport,
    partitions: PARTITIONS,
    localLane: false,
    leaseMs: 2_000,
    // What has been said of it is kept for as long as events are, not as long as it.
    events: 'none',
  })
  const client = createClient({ namespace: NAMESPACE, transport })
  const retentionMs = 300
  const runs = await Promise.all([
    client.submit(
      inParallel(
        Array.from({ length: 3_000 }, (_, n) => once.send(n)),
        { returnExceptions: true },
      ).continueWith(count),
      { retentionMs },
    ),
    client.submit(inParallel([large.send(500_000), large.send(2_000_000)]).continueWith(lengths), { retentionMs }),
    ...Array.from({ length: 50 }, (_, n) => client.submit(once.send(n * 7 + 1), { retentionMs })),
  ])
  expect(await runs[0].result({ timeoutMs: 30_000 })).toBe(3_000)
  expect(await runs[1].result({ timeoutMs: 30_000 })).toEqual([500_000, 2_000_000])
  for (const run of runs) await run.result({ timeoutMs: 30_000 }).catch(() => {})
  for (let n = 0; n < 100; n++) await client.enqueue(once, n * 7 + 1)

  const base = `{tasks:${NAMESPACE}}`
  const states = Array.from({ length: PARTITIONS }, (_, p) => `${base}:p${p}`)
  const left = [`${base}:hosts`, `${base}:meta`, ...states].sort()
  // What a receive that waits is known by, for as long as it waits.
  const isWaiting = (key: string): boolean => key.endsWith(':waiting') || key.endsWith(':waiters')
  await expect
    .poll(async () => (await onServer.keys('*')).filter((key) => !isWaiting(key)).sort(), {
      timeout: 30_000,
      interval: 100,
    })
    .toEqual(left)

  await client.close()
  await worker.close()
  await transport.close()
  expect((await onServer.keys('*')).sort()).toEqual([`${base}:meta`, ...states].sort())
  for (const state of states)
    expect((await onServer.hkeys(state)).sort()).toEqual(['claim', 'epoch', 'head', 'seq', 'time'])
}, 90_000)
