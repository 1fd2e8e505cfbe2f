// Workers that join and leave all the time. With consumer groups each of them would stop all others.
import { createClient, createTasks, inParallel, startWorker } from '@tasks/core'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { kafkaTransport } from '../src/index'
import { newNamespace, sharedBroker } from './support/server'

const PIPELINES = 75
const CHILDREN = 10

test('pipelines end right, and soon, while workers come and go every second', async (ctx) => {
  const { url } = sharedBroker(ctx)
  const namespace = newNamespace()
  const tasks = createTasks({ namespace })
  const slow = tasks.bind('slow', async (n: number) => {
    await sleep(20)
    return n
  })
  const sum = tasks.bind('sum', (numbers: number[]) => numbers.reduce((a, b) => a + b, 0))
  const pipeline = inParallel(Array.from({ length: CHILDREN }, (_, i) => slow.send(i))).continueWith(sum)

  let over = false
  let generations = 0
  const comeAndGo = async (localLane: boolean): Promise<void> => {
    while (!over) {
      const transport = kafkaTransport({ url })
      const worker = await startWorker({ tasks, transport, leaseMs: 3_000, drainMs: 500, partitions: 4, localLane })
      generations++
      await sleep(500 + Math.random() * 1_000)
      await worker.close()
      await transport.close()
    }
  }
  const transport = kafkaTransport({ url })
  const client = createClient({ namespace, transport, answerMs: 300 })
  const workers = [true, false, true].map(comeAndGo)
  onTestFinished(async () => {
    over = true
    await Promise.all(workers)
    await client.close()
    await transport.close()
  })

  const runs = []
  for (let i = 0; i < PIPELINES; i++) {
    await sleep(200)
    runs.push(await client.submit(pipeline, { id: `${i}` }))
  }
  for (const run of runs) expect(await run.result({ timeoutMs: 30_000 })).toBe((CHILDREN * (CHILDREN - 1)) / 2)
  const total = CHILDREN + 1
  for (const run of runs)
    await expect
      .poll(() => run.status(), { timeout: 30_000 })
      .toMatchObject({ status: 'COMPLETED', done: total, tasks: total })
  expect(await client.deadLetters.list()).toEqual([])
  expect(generations).toBeGreaterThan(10)
}, 180_000)
