import { expect, test } from 'vitest'
import { Arrivals } from '../../src/engine/arrivals'
import { inParallel } from '../../src/pipeline'
import { virtualClock } from '../../src/testing/virtual-clock'
import type { Lease, TaskConsumer } from '../../src/transport'
import { NONE } from '../../src/value'
import { decodeTask } from '../../src/wire/task-message'
import { encodeInbox, type Outcome } from '../../src/wire/inbox-message'
import { NAMESPACE, system } from '../support/system'

const LEASE_MS = 1_000
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

/** Everything that waits in the queue. */
const receive = (consumer: TaskConsumer): Promise<readonly Lease[]> =>
  consumer.receive({ max: 1_000, waitMs: 0, suspects: false })

test('what waits in its queue is not sent again, though it was stored later than the commit that sent it', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  await worker({ roles: ['owner'], leaseMs: LEASE_MS }, connect({ faults: { deliver: () => ({ lateMs: 5 }) } }))
  await client().submit(inParallel(numbers(3).map((value) => echo.send(value))))
  await clock.advance(20 * LEASE_MS)
  const space = await connect().open({ namespace: NAMESPACE })
  expect((await receive(space.consume({ queues: ['default'], leaseMs: 60_000 }))).length).toBe(3)
})

test('what was given back to the queue is not sent again because a neighbour takes long', async () => {
  const clock = virtualClock()
  const { tasks, worker, client } = system({ clock })
  const starts = new Map<number, number>()
  const work = tasks.bind('work', (value: number) => {
    starts.set(value, (starts.get(value) ?? 0) + 1)
    return value === 0 ? new Promise((resolve) => clock.after(20 * LEASE_MS, () => resolve(value))) : value
  })
  await worker({ concurrency: 1, leaseMs: LEASE_MS })
  const run = await client().submit(inParallel(numbers(20).map((value) => work.send(value))))
  const result = run.result()
  await clock.advance(30 * LEASE_MS)
  expect(await result).toEqual(numbers(20))
  expect([...starts].filter(([, count]) => count !== 1)).toEqual([])
})

test('a task whose outcome waits in the inbox of an owner that is behind is not sent again', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  let behind = false
  const slow = connect({ faults: { poll: () => (behind ? { lateMs: 10 * LEASE_MS } : undefined) } })
  await worker({ roles: ['owner'], leaseMs: LEASE_MS }, slow)
  const run = await client().submit(echo.send(1))
  const result = run.result()
  await clock.advance(10)
  const space = await connect().open({ namespace: NAMESPACE })
  const consumer = space.consume({ queues: ['default'], leaseMs: 60 * LEASE_MS })
  const [lease] = await receive(consumer)
  const { id, run: runId, path, attempt } = decodeTask(lease!.body, lease!.id)
  behind = true
  const outcome: Outcome = { id, run: runId, path, attempt, value: NONE }
  const partition = (
    await Promise.all(numbers(space.partitions).map((each) => space.reader!.scan(each, 'M/', undefined, 1)))
  ).findIndex((rows) => rows.length > 0)
  await consumer.settle(
    [{ lease: lease!, op: 'ack' }],
    [
      {
        target: { to: 'inbox', partition },
        id: 'outcome',
        body: encodeInbox({ type: 'outcomes', outcomes: [outcome] }),
      },
    ],
  )
  await clock.advance(9 * LEASE_MS)
  expect(await receive(consumer)).toEqual([])
  behind = false
  await clock.advance(30 * LEASE_MS)
  expect(await result).toBeUndefined()
  expect(await receive(consumer)).toEqual([])
})

test('a task that nobody has, and of which nobody speaks, is sent again', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  await worker({ roles: ['owner'], leaseMs: LEASE_MS })
  await client().submit(echo.send(1))
  await clock.advance(10)
  const space = await connect().open({ namespace: NAMESPACE })
  const consumer = space.consume({ queues: ['default'], leaseMs: 1_000 * LEASE_MS })
  const [first] = await receive(consumer)
  // Settled without a word: what a forgetful broker does.
  await consumer.settle([{ lease: first!, op: 'ack' }], [])
  await clock.advance(20 * LEASE_MS)
  const [again, ...others] = await receive(consumer)
  expect(others).toEqual([])
  expect(decodeTask(again!.body, again!.id)).toMatchObject({ attempt: 1, resends: 1 })
})

test('an outcome is folded before what says that its task was lost', () => {
  const arrivals = new Arrivals()
  arrivals.addOwn({ input: { type: 'resend', items: [] }, weight: 1, bytes: 0 })
  arrivals.addOutcome({ id: 'p', run: 'r', path: '/0', attempt: 1, value: NONE })
  const { batch } = arrivals.take({ maxCommitItems: 1_000, maxCommitBytes: 1_000 } as never)
  expect(batch.map(({ input }) => input.type)).toEqual(['outcomes', 'resend'])
})
