// A chain for each element of a result.
import { expect, test } from 'vitest'
import { fanOut, inParallel } from '../../src/pipeline'
import { PATIENCE_MS, system } from '../support/system'

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
