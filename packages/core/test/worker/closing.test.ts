import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import { inParallel } from '../../src/pipeline'
import { eventually, later, PATIENCE_MS, system } from '../support/system'

const waiting = { timeoutMs: PATIENCE_MS }

test('a worker that waits for its tasks keeps their leases, however long', async () => {
  const { tasks, worker, client } = system()
  let starts = 0
  const long = tasks.bind('long', async () => {
    starts++
    await later(1_500)
    return 'done'
  })
  const first = await worker({ leaseMs: 300, localLane: false })
  const run = await client().submit(long.send())
  await eventually(() => expect(starts).toBe(1))
  await worker({ leaseMs: 300, localLane: false })
  await first.close({ drainMs: PATIENCE_MS })
  expect(await run.result(waiting)).toBe('done')
  expect(starts).toBe(1)
})

test.each([
  ['by its owner', { localLane: true }],
  ['through the queue', { localLane: false }],
])('a task handed over %s that has not ended after drainMs runs elsewhere at once, uncounted', async (_, lane) => {
  const { tasks, worker, client } = system()
  const attempts: number[] = []
  let aborted: unknown
  const stuck = tasks.bind('stuck', async () => {
    const { attempt, signal } = taskContext()
    attempts.push(attempt)
    if (attempts.length > 1) return 'done'
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    aborted = signal.reason
    // As many clients do when their signal aborts. It says nothing of the task.
    throw signal.reason
  })
  const first = await worker({ ...lane, leaseMs: 60_000 })
  const run = await client().submit(stuck.send())
  await eventually(() => expect(attempts).toEqual([1]))
  await worker({ ...lane, leaseMs: 60_000 })
  await first.close({ drainMs: 20 })
  expect(await run.result(waiting)).toBe('done')
  expect(attempts).toEqual([1, 1])
  expect(aborted).toMatchObject({ code: 'TASKS_CLOSED' })
  expect(await run.status()).toMatchObject({ status: 'COMPLETED', done: 1, attempts: 1 })
})

test('a task of a partition that has gone to another process meanwhile is given back, too', async () => {
  const { tasks, worker, client } = system()
  let starts = 0
  const stuck = tasks.bind('stuck', () => (++starts <= 4 ? new Promise<string>(() => undefined) : 'done'))
  const first = await worker({ leaseMs: 60_000 })
  const submitter = client()
  const runs = await Promise.all([0, 1, 2, 3].map(() => submitter.submit(stuck.send())))
  await eventually(() => expect(starts).toBe(4))
  await worker({ leaseMs: 60_000 })
  // Until the second has its share of the partitions.
  await later(100)
  await first.close({ drainMs: 0 })
  expect(await Promise.all(runs.map((run) => run.result(waiting)))).toEqual(['done', 'done', 'done', 'done'])
})

test('a success that comes after the task was given back counts, if it is the first', async () => {
  const { tasks, worker, client } = system()
  let starts = 0
  let release = (): void => undefined
  const slow = tasks.bind('slow', async () => {
    starts++
    await new Promise<void>((resolve) => (release = resolve))
    return starts
  })
  const first = await worker({ localLane: false, leaseMs: 60_000 })
  const run = await client().submit(slow.send())
  await eventually(() => expect(starts).toBe(1))
  const closing = first.close({ drainMs: 0 })
  release()
  await closing
  await worker({ localLane: false })
  await eventually(async () => {
    if ((await run.status()).status === 'RUNNING') release()
    expect((await run.status()).status).toBe('COMPLETED')
  })
  expect([1, 2]).toContain(await run.result(waiting))
})

test('workers that come and go run each task once', async () => {
  const { tasks, worker, client } = system()
  const starts = new Map<number, number>()
  const work = tasks.bind('work', async (value: number) => {
    starts.set(value, (starts.get(value) ?? 0) + 1)
    await later(value % 5)
    return value
  })
  const submitter = client()
  const values = Array.from({ length: 1_500 }, (_, index) => index)
  let current = await worker({ concurrency: 5, leaseMs: 60_000 })
  const run = await submitter.submit(inParallel(values.map((value) => work.send(value))))
  for (let round = 0; round < 12; round++) {
    const before = starts.size
    await eventually(() => expect(starts.size === 1_500 || starts.size > before + 20).toBe(true))
    const next = await worker({ concurrency: 5, leaseMs: 60_000, localLane: round % 3 !== 0 })
    await current.close()
    current = next
  }
  expect(await run.result(waiting)).toEqual(values)
  expect([...starts].filter(([, count]) => count !== 1)).toEqual([])
}, 60_000)

test('a worker closes though its transport answers no more', async () => {
  const { tasks, worker, client, connect } = system()
  const echo = tasks.bind('echo', (value: number) => value)
  let broken = false
  const fault = (): 'lost' | undefined => (broken ? 'lost' : undefined)
  const bad = connect({ faults: { settle: fault, receive: fault, commit: fault } })
  const first = await worker({ localLane: false, leaseMs: 300 }, bad)
  const submitter = client()
  await (await submitter.submit(echo, 1)).result(waiting)
  broken = true
  const run = await submitter.submit(echo, 2)
  await later(100)
  await first.close({ drainMs: 100 })
  await worker({ leaseMs: 300 })
  expect(await run.result(waiting)).toBe(2)
}, 60_000)
