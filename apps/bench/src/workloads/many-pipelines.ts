import assert from 'node:assert/strict'
import { PATIENCE_MS } from '../bed'
import { costOfAsync, type Cost } from '../cost'
import type { Workload } from '../workload'

const STEPS = 10

export const manyPipelines: Workload = {
  name: 'many-pipelines',
  title: '200 pipelines of 10 steps at once',
  async run(bed) {
    const pipelines = bed.size(200, 20)
    const { client } = await bed.start()
    const { ran, chain } = bed.tasks
    const pipeline = chain(STEPS)
    const runAll = async (): Promise<Cost> => {
      let ids: readonly string[] = []
      const cost = await costOfAsync(async () => {
        ids = await Promise.all(
          Array.from({ length: pipelines }, async () => {
            const run = await client.submit(pipeline)
            assert.equal(await run.result({ timeoutMs: PATIENCE_MS }), STEPS)
            return run.id
          }),
        )
      })
      ran.step.checkAndReset(STEPS, pipelines)
      for (const id of ids) await bed.checkCompleted(client.attach(id), STEPS)
      return cost
    }
    const turns = await bed.takeTurns(10, 'items', pipelines * STEPS, runAll)
    bed.noteTurns('steps', pipelines * STEPS, 'items', turns)
    await bed.checkNoDeadLetters(client)
  },
}
