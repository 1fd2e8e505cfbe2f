import { createClient, createTasks, hueyEvent, startWorker, type HueyEvent, type Logger } from '@tasks/core'
import { silentLogger } from '@tasks/core/testing'
import { Redis } from 'ioredis'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { redisTransport } from '../src/index'
import { newServer } from './support/server'

test('while the server is down each failure to receive is an event, which is published when it is back', async (ctx) => {
  const server = await newServer(ctx, { appendfsync: 'always' })
  const tasks = createTasks({ namespace: 'down' })
  const work = tasks.bind('work', (n: number) => n + 1)
  let failures = 0
  const nothing = (): void => undefined
  const warn: Logger['warn'] = (_, message) => {
    if (message.startsWith('receiving failed')) failures++
  }
  const logger: Logger = { debug: nothing, info: nothing, warn, error: nothing }
  // Else it waits for the server to come back, for quite some time.
  const impatient = redisTransport({ url: server.url, patienceMs: 1_000 })
  const transport = redisTransport({ url: server.url })
  const worker = await startWorker({
    tasks,
    transport: impatient,
    logger,
    leaseMs: 1_000,
    localLane: false,
    workerEvents: true,
  })
  const client = createClient({ namespace: 'down', transport, logger, answerMs: 300 })
  onTestFinished(async () => {
    await worker.close({ drainMs: 0 })
    await client.close()
    await Promise.all([impatient.close(), transport.close()])
  })
  const said = await client.subscribe({ from: 'beginning', types: 'worker.*', follow: false })
  server.kill('SIGKILL')
  while (failures < 2) await sleep(20)
  await server.restart()
  expect(await (await client.submit(work, 1, { id: 'p' })).result({ timeoutMs: 30_000 })).toBe(2)
  await worker.close()
  const events: HueyEvent[] = []
  for await (const item of said) if (item.kind === 'event') events.push(hueyEvent(item.event)!)
  const down = events.filter(({ status }) => status === 'error-dequeueing')
  expect(down.length).toBeGreaterThanOrEqual(failures)
  for (const event of down)
    expect(event).toEqual({ status: 'error-dequeueing', error: true, traceback: expect.any(String) as string })
  expect(events.filter(({ id }) => id === 'p/0').map(({ status }) => status)).toEqual(['started', 'finished'])
  expect(worker.droppedEvents).toBe(0)
}, 60_000)

test('a server that starts again is asked soon, and not when it first thinks that its data will be loaded', async (ctx) => {
  // Small keys first, at half a millisecond each: after a second it says that the rest will take thirty more, and ioredis would wait for ten.
  const slow = ['--key-load-delay', '500', '--loading-process-events-interval-bytes', '1024']
  const server = await newServer(ctx, { appendfsync: 'always', settings: [...slow, '--aof-use-rdb-preamble', 'no'] })
  const transport = redisTransport({ url: server.url, patienceMs: 8_000 })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: 'n', partitions: 1 })
  const client = new Redis(server.port)
  await client.eval(`for i = 1, 4000 do redis.call('set', 'small' .. i, string.rep('x', 200)) end`, 0)
  await client.eval(`for i = 1, 30 do redis.call('set', 'large' .. i, string.rep('x', 1000000)) end`, 0)
  client.disconnect()
  server.kill('SIGKILL')
  const restarted = server.restart()
  // Nothing is under way that could be in doubt.
  await sleep(200)
  const sent = space.send([{ target: { to: 'task', queue: 'q' }, id: 'a', body: Buffer.from('a') }])
  await restarted
  expect(await sent).toEqual([{ ok: true }])
}, 60_000)

test('a worker closes while the server is down, and does not wait for its leases to run out', async (ctx) => {
  const server = await newServer(ctx)
  const tasks = createTasks({ namespace: 'closing' })
  const work = tasks.bind('work', (n: number) => n)
  const transport = redisTransport({ url: server.url })
  const worker = await startWorker({ tasks, transport, leaseMs: 60_000, logger: silentLogger })
  const client = createClient({ namespace: 'closing', transport })
  onTestFinished(async () => {
    await client.close()
    await transport.close()
  })
  expect(await (await client.submit(work, 1)).result({ timeoutMs: 30_000 })).toBe(1)
  server.kill('SIGKILL')
  // Seconds: what it would give back is tried for moments. A call that was under way has the patience of ten seconds.
  const closed = worker.close().then(() => 'closed')
  expect(await Promise.race([closed, sleep(40_000, 'waits')])).toBe('closed')
}, 90_000)
