import { expect, test } from 'vitest'
import { createClient } from '../../src/client/client'
import { memoryTransport } from '../../src/memory'
import { createTasks } from '../../src/tasks'
import { virtualClock } from '../../src/testing/virtual-clock'
import { startWorker } from '../../src/worker/worker'
import { silentLogger } from '../../src/testing/silent-logger'

const HOUR_MS = 3_600_000

test('a day after, blobs of runs that never were are gone, those of live ones stay, and dead letters go after a week', async () => {
  const clock = virtualClock()
  const transport = memoryTransport({ clock })
  const tasks = createTasks({ namespace: 'sweep' })
  const size = tasks.bind('size', (text: string) => text.length)
  const bad = tasks.bind('bad', () => {
    throw new Error('bad')
  })
  const worker = await startWorker({
    tasks,
    transport,
    clock,
    logger: silentLogger,
    partitions: 2,
    leaseMs: 400 * 24 * HOUR_MS,
  })
  const client = createClient({
    namespace: 'sweep',
    transport,
    clock,
    logger: silentLogger,
    answerMs: 400 * 24 * HOUR_MS,
  })
  const space = await transport.open({ namespace: 'sweep' })
  const keys = async (): Promise<string[]> =>
    (await space.blobs.list({ limit: 100 })).map(({ key }) => key.split('/')[0]!)

  const large = 'x'.repeat(200_000)
  const run = await client.submit(size.send(large), { id: 'live', retentionMs: 90 * 24 * HOUR_MS })
  const ended = run.result()
  await clock.advance(10)
  expect(await ended).toBe(200_000)
  await client.submit(size.send(large), { id: 'asleep', delayMs: 90 * 24 * HOUR_MS })
  await client.enqueue(bad.send())
  await space.blobs.put('orphan/norun/blob', 0, Buffer.from('left behind'))
  await clock.advance(10)
  expect(await keys()).toEqual(['asleep', 'live', 'orphan'])
  expect(await client.deadLetters.list()).toHaveLength(1)

  await clock.advance(60 * HOUR_MS)
  expect(await keys()).toEqual(['asleep', 'live'])
  expect(await client.deadLetters.list()).toHaveLength(1)
  await clock.advance(8 * 24 * HOUR_MS)
  expect(await client.deadLetters.list()).toEqual([])
  const closing = Promise.all([client.close(), worker.close()])
  await clock.advance(10)
  await closing
})

test('a partition that moves every hour is swept, too', async () => {
  const clock = virtualClock()
  const transport = memoryTransport({ clock })
  const tasks = createTasks({ namespace: 'moving' })
  tasks.bind('idle', () => undefined)
  const space = await transport.open({ namespace: 'moving', partitions: 1 })
  await space.blobs.put('orphan/norun/blob', 0, Buffer.from('left behind'))
  let hours = 0
  for (; (await space.blobs.list({ limit: 1 })).length > 0; hours++) {
    expect(hours).toBeLessThan(14 * 24)
    const worker = await startWorker({ tasks, transport, clock, logger: silentLogger, leaseMs: 2 * HOUR_MS })
    await clock.advance(HOUR_MS)
    const closing = worker.close()
    await clock.advance(10)
    await closing
  }
  expect(hours).toBeGreaterThanOrEqual(24)
}, 60_000)
