import { createClient, startWorker } from '@tasks/core'
import { memoryTransport } from '@tasks/core/memory'
import { silentLogger, testPipeline, virtualClock } from '@tasks/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { DAY_MS, DECISION, NAMESPACE, purchases, type Decision } from '../src/purchases'

/** Time has no heartbeats to stop at. */
const NEVER_MS = 3_650 * DAY_MS
const lathe = { what: 'a lathe', amount: 9_000, approver: 'Ada' }

/** The workflow in memory, on a clock that the test moves. */
async function running() {
  const clock = virtualClock()
  const told: [day: number, message: string][] = []
  const begin = clock.now()
  const { tasks, buy } = purchases((_, message) => told.push([(clock.now() - begin) / DAY_MS, message]))
  const transport = memoryTransport({ clock })
  const worker = await startWorker({ tasks, transport, clock, logger: silentLogger, partitions: 1, leaseMs: NEVER_MS })
  const client = createClient({ namespace: NAMESPACE, transport, clock, logger: silentLogger, answerMs: NEVER_MS })
  onTestFinished(async () => {
    const closing = Promise.all([client.close(), worker.close({ drainMs: 0 })])
    await clock.advance(60_000)
    await closing
    await transport.close()
  })
  const run = await client.submit(buy, lathe, { id: '7' })
  await clock.settle()
  return {
    told,
    run,
    pass: (days: number) => clock.advance(days * DAY_MS),
    async decide(decision: Decision) {
      await client.sendEvent({ key: DECISION, pipelineId: '7', value: decision })
      const result = run.result()
      await clock.advance(1_000)
      return result
    },
  }
}

test('asks, and orders what is approved', async () => {
  const { told, decide } = await running()
  expect(told.map(([, message]) => message)).toEqual(['please decide: a lathe for 9000'])
  expect(await decide({ approved: true, by: 'Ada' })).toBe('ordered: a lathe')
})

test('reminds each day, and takes a decision on the third', async () => {
  const { told, pass, decide } = await running()
  await pass(2.9)
  expect(told.map(([day, message]) => [Math.round(day * 100) / 100, message.split(':')[0]])).toEqual([
    [0, 'please decide'],
    [1, 'reminder 1'],
    [2, 'reminder 2'],
  ])
  expect(await decide({ approved: false, by: 'Ada' })).toBe('declined: a lathe')
})

test('gives up after three days', async () => {
  const told: string[] = []
  const { tasks, buy } = purchases((_, message) => told.push(message))
  const { result, timeline } = await testPipeline(buy.send(lathe), { tasks })
  expect(result).toBe('expired: a lathe')
  const days = timeline
    .filter(({ task }) => task === 'dayIsOver')
    .map(({ atMs }) => Math.round((atMs / DAY_MS) * 100) / 100)
  expect(days).toEqual([1, 2, 3])
  expect(told).toHaveLength(3)
})
