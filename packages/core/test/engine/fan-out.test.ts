// A chain for each element of a result.
import { expect, test } from 'vitest'
import { fanOut, inParallel, sleep } from '../../src/pipeline'
import { eventually, PATIENCE_MS, system } from '../support/system'

test('runs where its tasks run, whatever its chain begins with', async () => {
  const { tasks, worker, client } = system()
  const list = tasks.bind('list', () => [1, 2], { queue: 'other' })
  const plus = tasks.bind('plus', (value: number) => value + 1, { queue: 'other' })
  // Nobody serves the default queue.
  await worker({ queues: ['other'] })
  const group = inParallel([plus, plus])
  const run = await client().submit(list.send().continueWith(fanOut(group)))
  expect(await run.result({ timeoutMs: PATIENCE_MS })).toEqual([
    [2, 2],
    [3, 3],
  ])
}, 60_000)

test('counts its tasks and no others, and passes elements on as they are', async () => {
  const { tasks, worker, client } = system()
  const list = tasks.bind('list', () => [1, [2], undefined, 'x'.repeat(40_000)])
  const show = tasks.bind('show', (...values: unknown[]) => JSON.stringify(values).slice(0, 10))
  await worker()
  const submitter = client()
  const results: unknown[] = []
  for (const [chain, count] of [
    [inParallel([show, show]), 8],
    [sleep(1).continueWith(show), 4],
    [show, 4],
  ] as const) {
    const run = await submitter.submit(list.send().continueWith(fanOut(chain as typeof show)))
    results.push(await run.result({ timeoutMs: PATIENCE_MS }))
    expect(await run.status()).toMatchObject({ tasks: 1 + count, done: 1 + count, attempts: 2 + count })
  }
  const shown = ['[1]', '[[2]]', '[]', '["xxxxxxxx']
  expect(results).toEqual([shown.map((one) => [one, one]), shown, shown])
}, 60_000)

test('pauses after a group, or a fan-out, inside of its chain', async () => {
  const { tasks, worker, client } = system()
  const list = tasks.bind('list', () => [1])
  const lists = tasks.bind('lists', () => [[1]])
  const plus = tasks.bind('plus', (value: number) => value + 1)
  const sum = tasks.bind('sum', (values: readonly number[]) => values.reduce((a, b) => a + b, 0))
  await worker()
  const submitter = client()
  const group = list.send().continueWith(fanOut(inParallel([plus, plus]).pauseAfter().continueWith(sum)))
  const inner = lists.send().continueWith(fanOut(fanOut(plus).pauseAfter().continueWith(sum)))
  for (const [pipeline, result] of [
    [group, [4]],
    [inner, [2]],
  ] as const) {
    const run = await submitter.submit(pipeline)
    await eventually(async () => expect(await run.status()).toMatchObject({ status: 'PAUSED' }))
    await run.resume()
    expect(await run.result({ timeoutMs: PATIENCE_MS })).toEqual(result)
  }
}, 60_000)
