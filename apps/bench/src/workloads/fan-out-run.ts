import assert from 'node:assert/strict'
import type { Client } from '@tasks/core'
import { PATIENCE_MS, type Bed } from '../bed'
import { costOfAsync, type Cost } from '../cost'

/** One 1-N-1: a task that returns a group of N, and one that takes the N results. Returns what it cost, from submit to result; checked from outside. */
export async function measureFanOut(
  { tasks: { split }, checkCompleted }: Bed,
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
  await checkCompleted(client.attach(id), children + 2)
  return cost
}

/** The same, by a worker of this process: what it ran is counted. */
export async function runFanOut(bed: Bed, client: Client, children: number): Promise<Cost> {
  const cost = await measureFanOut(bed, client, children)
  const { ran } = bed.tasks
  ran.noop.checkAndReset(children)
  ran.split.checkAndReset(1)
  ran.collect.checkAndReset(1)
  return cost
}
