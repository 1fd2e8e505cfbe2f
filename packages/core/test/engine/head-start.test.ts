import { expect, test } from 'vitest'
import type { MemoryFaults } from '../../src/memory'
import { eventually, later, PATIENCE_MS, system } from '../support/system'

const waiting = { timeoutMs: PATIENCE_MS }

/** Commits of one partition, each seen before it is made. */
function watched() {
  const faults: MemoryFaults = {}
  const { tasks, worker, client, connect, rows } = system()
  const commits: number[] = []
  let look: (seq: number) => 'lost' | undefined = () => undefined
  faults.commit = ({ seq }) => {
    commits.push(seq)
    return look(seq)
  }
  return {
    tasks,
    client,
    rows,
    commits,
    onCommit: (next: typeof look) => (look = next),
    start: async () => {
      await worker({ localLane: true, concurrency: 4 }, connect({ faults }))
      // Every session has read its own marker: what comes now may begin at once.
      await later(50)
    },
  }
}

test('a pipeline of one task is one commit', async () => {
  const { tasks, client, commits, rows, start } = watched()
  const double = tasks.bind('double', async (value: number) => 2 * value)
  await start()
  const before = commits.length
  expect(await (await client().submit(double, 21, { id: 'one' })).result(waiting)).toBe(42)
  expect(commits.length - before).toBe(1)
  expect(await rows('W/')).toEqual([])
})

test('a task that takes longer is noted by the commit that it did not wait for', async () => {
  const { tasks, client, commits, rows, start } = watched()
  let finish: (value: string) => void = () => undefined
  const slow = tasks.bind('slow', () => new Promise<string>((resolve) => (finish = resolve)))
  await start()
  const before = commits.length
  const run = await client().submit(slow.send())
  await eventually(async () => expect(await rows('W/')).toHaveLength(1))
  expect(commits.length - before).toBe(1)
  finish('done')
  expect(await run.result(waiting)).toBe('done')
  expect(await rows('W/')).toEqual([])
})

test('no task begins before the result that it gets is committed', async () => {
  const { tasks, client, onCommit, start } = watched()
  const seen: string[] = []
  const say = (name: string) => tasks.bind(name, async () => void seen.push(name))
  const [first, second] = [say('first'), say('second')]
  await start()
  const atCommit: string[][] = []
  onCommit(() => void atCommit.push([...seen]))
  await (await client().submit(first.send().continueWith(second.send()))).result(waiting)
  expect(atCommit[0]).toEqual(['first'])
  expect(seen).toEqual(['first', 'second'])
})

test('if the commit is lost, whoever owns the partition next takes the outcome that is there', async () => {
  const { tasks, client, onCommit, start } = watched()
  let starts = 0
  const count = tasks.bind('count', async () => ++starts)
  await start()
  let lost = 0
  onCommit(() => (starts > 0 && lost++ === 0 ? 'lost' : undefined))
  const result = await (await client().submit(count.send())).result(waiting)
  expect(lost).toBeGreaterThan(0)
  // The outcome went to the inbox, behind the submit. A new session may have begun the task again before it read that far.
  expect([1, 2]).toContain(result)
  expect(starts).toBeLessThanOrEqual(2)
})

test('what was in the inbox before the session began is noted before it begins', async () => {
  const { tasks, client, onCommit, start } = watched()
  let starts = 0
  const task = tasks.bind('task', async () => ++starts)
  const run = await client().submit(task.send())
  const startsAtCommit: number[] = []
  onCommit(() => void startsAtCommit.push(starts))
  await start()
  await run.result(waiting)
  expect(startsAtCommit[0]).toBe(0)
  expect(startsAtCommit.at(-1)).toBe(1)
})
