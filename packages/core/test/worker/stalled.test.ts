import { expect, test } from 'vitest'
import { virtualClock } from '../../src/testing/virtual-clock'
import { system } from '../support/system'

test('a worker whose slots are all taken by long tasks leaves the others in their queue', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const pause = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
  const ran: number[] = []
  const work = tasks.bind('work', async (ms: number) => {
    await pause(ms)
    ran.push(ms)
  })
  let receives = 0
  const transport = connect({ faults: { receive: () => void receives++ } })
  await worker({ concurrency: 1, leaseMs: 10_000 }, transport)
  await client().enqueueMany(work, [20_000, 7, 8])
  await clock.advance(1_000)
  receives = 0
  await clock.advance(18_000)
  // It looked once or twice whether there is more; without that, a hundred times a second.
  expect(receives).toBeLessThan(10)
  await clock.advance(2_000)
  expect(ran).toEqual([20_000, 7, 8])
})
