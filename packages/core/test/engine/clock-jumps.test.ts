import { expect, test, vi } from 'vitest'
import { virtualClock } from '../../src/testing/virtual-clock'
import { NAMESPACE, system } from '../support/system'

// Enough on a machine that is busy with something else.
vi.setConfig({ testTimeout: 60_000 })

const LEASE_MS = 1_000
const HOUR_MS = 3_600_000

function jumpingClock() {
  const clock = virtualClock()
  let offset = 0
  return {
    advance: clock.advance,
    jump: (ms: number) => void (offset += ms),
    clock: { ...clock, now: () => clock.now() + offset },
  }
}

test('what runs is not sent again because the clock jumps ahead', async () => {
  const { clock, advance, jump } = jumpingClock()
  const { tasks, worker, client } = system({ clock })
  let starts = 0
  const long = tasks.bind('long', () => {
    starts++
    return new Promise((resolve) => clock.after(40 * LEASE_MS, () => resolve('done')))
  })
  await worker({ roles: ['owner'], leaseMs: LEASE_MS })
  await worker({ roles: ['worker'], leaseMs: LEASE_MS })
  const run = await client().submit(long.send())
  const result = run.result()
  // At any time between two reports.
  for (let step = 1; step < 1_600; step++) {
    await advance(37)
    if (step % 19 === 0) jump(HOUR_MS)
  }
  expect(await result).toBe('done')
  expect(starts).toBe(1)
})

test('what was lost is sent again though the clock goes back', async () => {
  const { clock, advance, jump } = jumpingClock()
  const { tasks, worker, client, connect } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  await worker({ roles: ['owner'], leaseMs: LEASE_MS })
  const run = await client().submit(echo, 1)
  const result = run.result()
  await advance(10)
  // Somebody has it, and is never heard of again.
  const space = await connect().open({ namespace: NAMESPACE })
  const consumer = space.consume({ queues: ['default'], leaseMs: 10 * HOUR_MS })
  expect((await consumer.receive({ max: 1, waitMs: 0, suspects: false })).length).toBe(1)
  jump(-HOUR_MS)
  await worker({ roles: ['worker'], leaseMs: LEASE_MS })
  await advance(20 * LEASE_MS)
  expect(await result).toBe(1)
})
