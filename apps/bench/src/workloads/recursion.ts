import assert from 'node:assert/strict'
import type { Client } from '@tasks/core'
import { PATIENCE_MS, type Bed } from '../bed'
import { costOfAsync, NO_COST, sumOf, type Cost } from '../cost'
import type { Workload } from '../workload'

export const recursion: Workload = {
  name: 'recursion',
  title: 'a task that returns a pipeline of itself, 10,000 deep, and what a step of it costs against one of 100',
  async run(bed) {
    const few = bed.size(100, 10)
    const many = bed.size(10_000, 200)
    const repeat = 10
    const { client } = await bed.start()
    const small = await bed.takeTurns(2, 'steps', few * repeat, async () => {
      let cost = NO_COST
      for (let i = 0; i < repeat; i++) cost = sumOf(cost, await runDown(bed, client, few))
      return cost
    })
    const large = await bed.takeTurns(1, 'steps', many, () => runDown(bed, client, many))
    bed.note('a step, 10,000 deep', (large.seconds / many) * 1000, 'ms')
    bed.note('a step, 100 deep', (small.seconds / (few * repeat)) * 1000, 'ms')
    const scale = (few * repeat) / many
    bed.note('time of a step, 10,000 against 100', (large.seconds / small.seconds) * scale, 'x', { most: 1.25 })
    await bed.checkNoDeadLetters(client)
  },
}

async function runDown(bed: Bed, client: Client, depth: number): Promise<Cost> {
  const { countdown, ran } = bed.tasks
  const cost = await costOfAsync(async () => {
    const run = await client.submit(countdown, depth - 1)
    assert.equal(await run.result({ timeoutMs: PATIENCE_MS }), 0)
  })
  ran.step.checkAndReset(depth)
  return cost
}
