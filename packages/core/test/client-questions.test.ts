import { expect, onTestFinished, test } from 'vitest'
import { createClient, type Client } from '../src/client/client'
import { memoryTransport } from '../src/memory'
import { createTasks } from '../src/tasks'
import { startWorker, type Worker } from '../src/worker/worker'

function setup() {
  const transport = memoryTransport()
  const tasks = createTasks({ namespace: 'questions' })
  const double = tasks.bind('double', (x: number): number => 2 * x)
  const closes: (() => Promise<void>)[] = []
  onTestFinished(async () => {
    for (const close of closes.reverse()) await close()
    await transport.close()
  })
  const client = (answerMs = 5_000): Client => {
    const made = createClient({ transport, namespace: 'questions', answerMs })
    closes.push(() => made.close())
    return made
  }
  const worker = async (): Promise<Worker> => {
    const started = await startWorker({ transport, tasks })
    closes.push(() => started.close())
    return started
  }
  return { double, client, worker }
}

test('owners() counts the partitions whose owner answers', async () => {
  const { client, worker } = setup()
  expect(await client(50).owners()).toEqual({ partitions: 16, answering: 0, slowestMs: 0 })
  await worker()
  const { partitions, answering, slowestMs } = await client().owners()
  expect({ partitions, answering }).toEqual({ partitions: 16, answering: 16 })
  expect(slowestMs).toBeGreaterThan(0)
})

test('the result of a pipeline that has ended needs no worker, where rows can be read', async () => {
  const { client, worker, double } = setup()
  const started = await worker()
  expect(await (await client().submit(double, 21, { id: 'old' })).result({ timeoutMs: 5_000 })).toBe(42)
  await started.close()
  expect(await client().attach('old').result({ timeoutMs: 100 })).toBe(42)
})
