import assert from 'node:assert/strict'
import type { Client } from '@tasks/core'
import { PATIENCE_MS, type Bed } from '../bed'
import { costOfAsync, NO_COST, sumOf, type Cost } from '../cost'
import type { Workload } from '../workload'

const IN_FLIGHT = 10

export const fanOutBounded: Workload = {
  name: 'fan-out-bounded',
  title: '1-N-1 with 100,000 children, 10 of them in flight, and what a child of it costs against one of 1,000',
  async run(bed) {
    const few = bed.size(1_000, 100)
    const many = bed.size(100_000, 2_000)
    const repeat = 10
    const { client } = await bed.start()
    const small = await bed.takeTurns(3, 'items', few * repeat, async () => {
      let cost = NO_COST
      for (let i = 0; i < repeat; i++) cost = sumOf(cost, await runBounded(bed, client, few))
      return cost
    })
    const large = await bed.takeTurns(1, 'items', many, () => runBounded(bed, client, many))
    bed.note('children, 100,000', many / large.seconds, '/s')
    bed.note('children, 1,000', (few * repeat) / small.seconds, '/s')
    const scale = (few * repeat) / many
    bed.note('time of a child, 100,000 against 1,000', (large.seconds / small.seconds) * scale, 'x', { most: 1.25 })
    await bed.checkNoDeadLetters(client)
  },
}

async function runBounded(bed: Bed, client: Client, children: number): Promise<Cost> {
  const { splitBounded, ran } = bed.tasks
  let id = ''
  const cost = await costOfAsync(async () => {
    const run = await client.submit(splitBounded.send(children, IN_FLIGHT))
    id = run.id
    assert.deepEqual(await run.result({ timeoutMs: PATIENCE_MS }), { count: children, wrong: 0 })
  })
  ran.noop.checkAndReset(children)
  ran.split.checkAndReset(1)
  ran.collect.checkAndReset(1)
  await bed.checkCompleted(client.attach(id), children + 2)
  return cost
}
