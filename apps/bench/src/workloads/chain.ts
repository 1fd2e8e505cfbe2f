import assert from 'node:assert/strict'
import { PATIENCE_MS } from '../bed'
import { costOfAsync, type Cost } from '../cost'
import type { Workload } from '../workload'

const STEPS = 50

export const chain: Workload = {
  name: 'chain',
  title: 'chains of 50 steps, one chain at a time',
  async run(bed) {
    const chains = bed.size(4, 2)
    const { client } = await bed.start()
    const { ran, chain: chainOf } = bed.tasks
    const pipeline = chainOf(STEPS)
    const runChains = async (): Promise<Cost> => {
      const runs: string[] = []
      const cost = await costOfAsync(async () => {
        for (let i = 0; i < chains; i++) {
          const run = await client.submit(pipeline)
          runs.push(run.id)
          assert.equal(await run.result({ timeoutMs: PATIENCE_MS }), STEPS)
        }
      })
      ran.step.checkAndReset(STEPS, chains)
      for (const id of runs) await bed.checkCompleted(client.attach(id), STEPS)
      return cost
    }
    const turns = await bed.takeTurns(12, 'steps', chains * STEPS, runChains)
    bed.noteTurns('steps', chains * STEPS, 'steps', turns, {
      kafka: { most: 1.5 },
      nats: { most: 2 },
      sqlite: { most: 1.5 },
    })
    bed.note('a step', (turns.seconds / (chains * STEPS)) * 1000, 'ms')
    await bed.checkNoDeadLetters(client)
  },
}
