import { expect, test } from 'vitest'
import { systemClock, type Clock } from '../../src/clock'
import { taskContext } from '../../src/context'
import { inParallel } from '../../src/pipeline'
import { virtualClock, type VirtualClock } from '../../src/testing/virtual-clock'
import type { ConsumeOptions, TaskConsumer, Transport } from '../../src/transport'
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

/** A broker that takes its time: what is sent is stored at once, but what is said of leases has its effect only then. */
function slowToSettle<T extends Transport>(transport: T, clock: Clock, ms: () => number): T {
  const slow = async (say: () => Promise<void>): Promise<void> => {
    await new Promise<void>((resolve) => clock.after(ms(), resolve))
    await say()
  }
  const slowly = (consumer: TaskConsumer): TaskConsumer => ({
    receive: (options) => consumer.receive(options),
    async settle(settlements, sends) {
      await consumer.settle([], sends)
      await slow(() => consumer.settle(settlements, []))
    },
    extend: (leases) => slow(() => consumer.extend(leases)),
    close: () => consumer.close(),
  })
  const open: Transport['open'] = async (options) => {
    const space = await transport.open(options)
    return new Proxy(space, {
      get(_, key) {
        if (key === 'consume') return (of: ConsumeOptions) => slowly(space.consume(of))
        const value: unknown = Reflect.get(space, key, space)
        return typeof value === 'function' ? (value.bind(space) as unknown) : value
      },
    })
  }
  return Object.assign(Object.create(transport) as T, { open, close: () => transport.close() })
}

test('what has ended is no dead letter because it is settled later than its lease runs out', async () => {
  const clock: VirtualClock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const runs: string[] = []
  const work = tasks.bind(
    'work',
    (value: string) => {
      const { attempt } = taskContext()
      runs.push(`${value}, attempt ${attempt}`)
      if (value !== 'alone' && attempt === 1) throw new Error('not at once')
      return value
    },
    { retry: { maxRetries: 1, delayMs: 1, jitter: 'none' } },
  )
  let settleMs = 150
  for (let i = 0; i < 2; i++)
    await worker(
      { localLane: false, leaseMs: 100 },
      slowToSettle(connect(), clock, () => settleMs),
    )
  const asking = client()
  const run = await asking.submit(work.send('in a pipeline'))
  await asking.enqueue(work.send('alone'))
  await clock.advance(5_000)
  settleMs = 0
  await clock.advance(5_000)
  expect(await run.result()).toBe('in a pipeline')
  expect(await asking.deadLetters.list()).toEqual([])
  expect(new Set(runs)).toEqual(new Set(['in a pipeline, attempt 1', 'in a pipeline, attempt 2', 'alone, attempt 1']))
  // By each of the two, and by the one that had it first once more.
  const tooOften = runs.filter((run) => runs.filter((each) => each === run).length > 3)
  expect(tooOften).toEqual([])
})

test('what is being settled when a worker closes is not given back', async () => {
  const clock: VirtualClock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const runs: number[] = []
  const work = tasks.bind('work', (value: number) => void runs.push(value))
  let settleMs = 20_000
  const options = { localLane: false, leaseMs: 60_000 }
  const first = await worker(
    options,
    slowToSettle(connect(), clock, () => settleMs),
  )
  await client().enqueue(work, 1)
  await clock.advance(100)
  expect(runs).toEqual([1])
  // What is said later takes no time, and comes first.
  settleMs = 0
  await worker(options)
  const closed = first.close()
  await clock.advance(30_000)
  await closed
  expect(runs).toEqual([1])
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
