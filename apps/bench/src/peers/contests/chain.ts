import assert from 'node:assert/strict'
import type { Contest } from '../contest'

const STEPS = 50

export const chain: Contest = {
  name: 'chain',
  title: 'chains of 50 steps, one chain at a time; of the others, jobs of which each adds the next',
  rows: [
    { name: 'a step', unit: 'ms', bar: 0.33, reach: 0.2 },
    { name: 'CPU of node + redis, a step', unit: 'µs' },
  ],
  run: (arena) =>
    arena.takeTurns(
      { turns: 6, warmUps: 12 },
      () => true,
      async ({ contender, note }) => {
        const chains = arena.size(8, 2)
        await arena.withReadyWorker(contender, async () => {
          const { seconds, nodeSeconds, redisSeconds } = await arena.costOf(async () => {
            for (let i = 0; i < chains; i++) assert.equal(await contender.chain(STEPS), STEPS)
          })
          note('a step', (seconds / (chains * STEPS)) * 1e3)
          note('CPU of node + redis, a step', ((nodeSeconds + redisSeconds) / (chains * STEPS)) * 1e6)
        })
        contender.ran.step.checkAndReset(STEPS, chains)
      },
    ),
}
