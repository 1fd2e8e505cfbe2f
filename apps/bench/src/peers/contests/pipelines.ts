import assert from 'node:assert/strict'
import type { Contest } from '../contest'

const STEPS = 10

export const pipelines: Contest = {
  name: 'pipelines',
  title:
    '200 pipelines of 10 steps at once, each step given the result of the one before; the others also as jobs of which each adds the next',
  rows: [
    { name: 'steps, flows', unit: '/s', bar: 10, reach: 20 },
    { name: 'CPU of node + redis, a step', unit: 'µs' },
    { name: 'steps, each adds the next', unit: '/s' },
  ],
  async run(arena) {
    const count = arena.size(200, 5)
    const turns = { turns: 4, warmUps: 10 }
    const results = Array.from({ length: count }, () => STEPS)
    await arena.takeTurns(
      turns,
      ({ pipelines: flows }) => flows !== undefined,
      async ({ contender, note }) => {
        await arena.withReadyWorker(contender, async () => {
          const { seconds, nodeSeconds, redisSeconds } = await arena.costOf(async () =>
            assert.deepEqual(await contender.pipelines!(count, STEPS), results),
          )
          note('steps, flows', (count * STEPS) / seconds)
          note('CPU of node + redis, a step', ((nodeSeconds + redisSeconds) / (count * STEPS)) * 1e6)
        })
        contender.ran.step.checkAndReset(STEPS, count)
      },
    )
    await arena.takeTurns(
      turns,
      () => true,
      async ({ contender, note }) => {
        await arena.withReadyWorker(contender, async () => {
          const run = contender.relays ?? contender.pipelines!
          const { seconds } = await arena.costOf(async () => assert.deepEqual(await run(count, STEPS), results))
          note('steps, each adds the next', (count * STEPS) / seconds)
        })
        contender.ran.step.checkAndReset(STEPS, count)
      },
    )
  },
}
