import { expect, test } from 'vitest'
import { inParallel } from '../../src/pipeline'
import { later, PATIENCE_MS, system } from '../support/system'

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

test('what went from one lane to another and waits there is not sent again because a neighbour takes long', async () => {
  const { tasks, worker, client } = system()
  const starts = new Map<number, number>()
  const work = tasks.bind('work', async (value: number) => {
    starts.set(value, (starts.get(value) ?? 0) + 1)
    await later(value === 0 ? 4_000 : 40)
    return value
  })
  await worker({ concurrency: 4, leaseMs: 400 })
  const run = await client().submit(inParallel(numbers(250).map((value) => work.send(value))))
  expect(await run.result({ timeoutMs: PATIENCE_MS })).toEqual(numbers(250))
  expect([...starts].filter(([, count]) => count !== 1)).toEqual([])
}, 60_000)

test('an owner that is far behind does not send again what has ended, and leaves the event loop to others', async () => {
  const { tasks, worker, client, connect } = system()
  let starts = 0
  const echo = tasks.bind('echo', (value: number) => {
    starts++
    return value
  })
  const submitter = client()
  const runs = await Promise.all(numbers(20_000).map((value) => submitter.submit(echo, value)))
  let commits = 0
  let ticks = 0
  const ticking = setInterval(() => ticks++, 1)
  // Sessions are lost while their inboxes are full: whoever comes after them starts with nothing in memory.
  const lost = connect({ faults: { commit: () => (++commits % 5 === 0 && commits < 40 ? 'lost' : undefined) } })
  const first = await worker({ concurrency: 4, leaseMs: 500 }, lost)
  expect(await Promise.all(runs.map((run) => run.result({ timeoutMs: 2 * PATIENCE_MS })))).toEqual(numbers(20_000))
  clearInterval(ticking)
  expect(commits).toBeGreaterThan(40)
  // What ran twice was in hand when a commit failed.
  expect(starts).toBeLessThan(30_000)
  expect(ticks).toBeGreaterThan(3)
  await first.close()
}, 90_000)
