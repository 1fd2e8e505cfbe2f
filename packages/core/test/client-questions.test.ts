import { expect, onTestFinished, test } from 'vitest'
import { createClient, type Client } from '../src/client/client'
import { memoryTransport } from '../src/memory'
import { createTasks } from '../src/tasks'
import { virtualClock } from '../src/testing/virtual-clock'
import { startWorker, type Worker } from '../src/worker/worker'
import { system } from './support/system'

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

test('the result of a run that was submitted here and is gone is TASKS_NOT_FOUND', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  let deaf = true
  await worker({}, connect({ faults: { reply: () => (deaf ? 'lost' : undefined) } }))
  const run = await client().submit(echo, 1, { retentionMs: 1_000 })
  await clock.advance(10_000)
  deaf = false
  const result = run.result().catch((error: unknown) => error)
  await clock.advance(60_000)
  expect(await result).toMatchObject({ code: 'TASKS_NOT_FOUND' })
})

test('a question that comes before the submit it asks about says nothing of it', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  let submits = 0
  const late = connect({ faults: { deliver: () => (submits++ === 0 ? { lateMs: 10_000 } : undefined) } })
  await worker()
  const run = await client({ answerMs: 100 }, late).submit(echo, 1)
  const result = run.result()
  await clock.advance(60_000)
  expect(await result).toBe(1)
  // It did ask.
  expect(submits).toBeGreaterThan(2)
})
