import assert from 'node:assert/strict'
import type { Client } from '@tasks/core'
import { PATIENCE_MS, type Bed } from '../bed'
import { costOfAsync, type Cost } from '../cost'

/** One 1-N-1, checked: a task that returns a group of N, and one that takes the N results. Returns what it cost, from submit to result. */
export async function runFanOut(
  { tasks: { split, ran }, checkCompleted }: Bed,
  client: Client,
  children: number,
): Promise<Cost> {
  let result: unknown
  let id = ''
  const cost = await costOfAsync(async () => {
    const run = await client.submit(split, children)
    id = run.id
    result = await run.result({ timeoutMs: PATIENCE_MS })
  })
  assert.deepEqual(result, { count: children, wrong: 0 })
  ran.noop.checkAndReset(children)
  ran.split.checkAndReset(1)
  ran.collect.checkAndReset(1)
  await checkCompleted(client.attach(id), children + 2)
  return cost
}
