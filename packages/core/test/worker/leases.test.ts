import { expect, test } from 'vitest'
import { systemClock, type Clock } from '../../src/clock'
import { inParallel } from '../../src/pipeline'
import { virtualClock, type VirtualClock } from '../../src/testing/virtual-clock'
import { PATIENCE_MS, system } from '../support/system'

const lanes = [
  ['handed over by their owner', [true]],
  ['taken from the queue', [false]],
  ['by two workers, one of each kind', [true, false]],
] as const

interface Load {
  readonly clock: Clock
  readonly localLanes: readonly boolean[]
  readonly tasks: number
  readonly taskMs: number
  readonly leaseMs: number
}

/** A 1-N-1 of tasks that take a while, at concurrency 4 in all. Resolves to which of them have not run just once. */
async function runLoad({ clock, localLanes, tasks: count, taskMs, leaseMs }: Load): Promise<() => Promise<unknown>> {
  const { tasks, worker, client } = system({ clock })
  const starts = new Map<number, number>()
  const work = tasks.bind('work', async (value: number) => {
    starts.set(value, (starts.get(value) ?? 0) + 1)
    await new Promise<void>((resolve) => clock.after(taskMs, resolve))
    return value
  })
  const sum = tasks.bind('sum', (values: number[]) => values.reduce((total, value) => total + value, 0))
  for (const localLane of localLanes) await worker({ localLane, leaseMs, concurrency: 4 / localLanes.length })
  const values = Array.from({ length: count }, (_, value) => value)
  const run = await client().submit(inParallel(values.map((value) => work.send(value))).continueWith(sum))
  const result = run.result()
  return async () => {
    expect(await result).toBe((count * (count - 1)) / 2)
    expect(starts.size).toBe(count)
    return [...starts].filter(([, times]) => times !== 1)
  }
}

async function runVirtually(load: Omit<Load, 'clock'>): Promise<unknown> {
  const clock: VirtualClock = virtualClock()
  const finish = await runLoad({ ...load, clock })
  await clock.advance(10 * ((load.tasks * load.taskMs) / 4 + load.taskMs))
  return finish()
}

test.each(lanes)(
  '2,000 tasks of 50 ms at concurrency 4 with leases of 100 ms run once each, %s',
  async (_, localLanes) => {
    expect(await runVirtually({ localLanes, tasks: 2_000, taskMs: 50, leaseMs: 100 })).toEqual([])
  },
)

test.each(lanes)('tasks of ten leases run once each, %s', async (_, localLanes) => {
  expect(await runVirtually({ localLanes, tasks: 1, taskMs: 1_000, leaseMs: 100 })).toEqual([])
  expect(await runVirtually({ localLanes, tasks: 50, taskMs: 1_000, leaseMs: 100 })).toEqual([])
})

// The same on the machine's clock. The lease is longer than a busy machine stands still.
const LEASE_MS = 800
const TASKS = process.env['TASKS_TIER'] === 'all' ? 2_000 : 160

test.each(lanes)(
  `in real time, ${TASKS} tasks of 50 ms run once each, %s`,
  async (_, localLanes) => {
    const finish = await runLoad({ clock: systemClock, localLanes, tasks: TASKS, taskMs: 50, leaseMs: LEASE_MS })
    expect(await finish()).toEqual([])
  },
  TASKS * 50 + PATIENCE_MS,
)
