import { expect, test } from 'vitest'
import type { MemoryFaults } from '../../src/memory'
import type { Send } from '../../src/transport'
import { later, PATIENCE_MS, system } from '../support/system'

/** Of a submit's message: what an owner sends to itself has a longer one. */
const UID_LENGTH = 20
const waiting = { timeoutMs: PATIENCE_MS }

/** A worker and a client of one process, on one connection. */
function together() {
  const faults: MemoryFaults = {}
  const submits: Send[] = []
  const { tasks, worker, client, connect, rows } = system()
  faults.send = (send) => {
    if (send.target.to === 'inbox' && send.id.length === UID_LENGTH) submits.push(send)
    return undefined
  }
  const transport = connect({ faults })
  return {
    tasks,
    worker,
    rows,
    faults,
    submits,
    async start() {
      const running = await worker({ localLane: true, concurrency: 4 }, transport)
      // Until then an owner lets no task begin before it is noted.
      await later(50)
      return { running, client: client({}, transport) }
    },
  }
}

test('a submit whose owner is in the same process is not sent, and is one commit with its result', async () => {
  const { tasks, start, faults, submits } = together()
  const double = tasks.bind('double', (value: number) => 2 * value)
  const { client } = await start()
  let commits = 0
  faults.commit = () => void commits++
  expect(await (await client.submit(double, 21)).result(waiting)).toBe(42)
  expect(await (await client.submit(double, 4, { id: 'given' })).result(waiting)).toBe(8)
  expect(commits).toBe(2)
  expect(submits).toEqual([])
})

test('it resolves when it is committed', async () => {
  const { tasks, start, faults, rows } = together()
  const task = tasks.bind('task', () => new Promise(() => undefined))
  const { client } = await start()
  let committed = false
  faults.commit = () => void (committed = true)
  const run = await client.submit(task.send())
  expect(committed).toBe(true)
  expect(await rows(`M/${run.id}`)).toEqual([`M/${run.id}`])
  expect(await run.status()).toMatchObject({ status: 'RUNNING' })
})

test.each(['lost', 'unanswered', 'taken'] as const)(
  'if its commit is %s, it is sent, and comes to its result',
  async (fault) => {
    const { tasks, start, faults, submits } = together()
    let starts = 0
    const count = tasks.bind('count', () => ++starts)
    const { client } = await start()
    let struck = 0
    faults.commit = () => (starts > 0 && struck++ === 0 ? fault : undefined)
    const run = await client.submit(count.send())
    const result = await run.result(waiting)
    expect(struck).toBeGreaterThan(0)
    expect(submits.map(({ id }) => id)).toEqual([run.id])
    expect([1, 2]).toContain(result)
    expect(await run.status()).toMatchObject({ status: 'COMPLETED', attempts: 1 })
  },
)

test('what its owner has not committed when the worker closes is not lost', async () => {
  const { tasks, worker, start } = together()
  const task = tasks.bind('task', (value: number) => value)
  const { client, running } = await start()
  const runs = Array.from({ length: 50 }, (_, index) => client.submit(task.send(index)))
  const closing = running.close()
  const accepted = await Promise.all(runs)
  await closing
  await worker({ localLane: true })
  expect(await Promise.all(accepted.map((run) => run.result(waiting)))).toEqual(accepted.map((_, index) => index))
})

test('many at once share commits', async () => {
  const { tasks, start, faults, submits } = together()
  const task = tasks.bind('task', (value: number) => value)
  const { client } = await start()
  let commits = 0
  faults.commit = () => void commits++
  const runs = await Promise.all(Array.from({ length: 400 }, (_, index) => client.submit(task.send(index))))
  expect(await Promise.all(runs.map((run) => run.result(waiting)))).toEqual(runs.map((_, index) => index))
  // Of four partitions.
  expect(commits).toBeLessThan(40)
  expect(submits).toEqual([])
})

test('whatever becomes of its commits, each submit is taken once', async () => {
  const { tasks, start, faults, rows } = together()
  const task = tasks.bind('task', (value: number) => value)
  const { client } = await start()
  const ways = ['lost', 'unanswered', 'taken'] as const
  let commits = 0
  faults.commit = () => (++commits % 5 === 0 && commits <= 60 ? ways[commits % ways.length] : undefined)
  const values = Array.from({ length: 120 }, (_, index) => index)
  const runs = await Promise.all(
    values.map(async (value) => {
      await later(value % 40)
      return client.submit(task.send(value))
    }),
  )
  expect(await Promise.all(runs.map((run) => run.result(waiting)))).toEqual(values)
  for (const run of runs) expect(await run.status()).toMatchObject({ status: 'COMPLETED', attempts: 1 })
  expect(await rows('M/')).toHaveLength(values.length)
})
