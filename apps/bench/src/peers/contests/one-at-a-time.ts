import assert from 'node:assert/strict'
import { quantile } from '../../figures'
import type { Contender } from '../contender'
import type { Contest } from '../contest'

export const oneAtATime: Contest = {
  name: 'one-at-a-time',
  title:
    'one task at a time: from submit to its durable result, of BullMQ from add to finished; and while 100,000 wait in another queue',
  rows: [
    { name: 'submit to result, p50', unit: 'ms', bar: 0.6, reach: 0.4 },
    { name: 'submit to result, p99', unit: 'ms' },
    { name: 'lone task to its reply, p50', unit: 'ms' },
    { name: 'lone task to its reply, p99', unit: 'ms' },
    { name: 'lone task beside 100,000 that wait, p50', unit: 'ms' },
    { name: 'lone task beside 100,000 that wait, p99', unit: 'ms' },
  ],
  async run(arena) {
    const turns = { turns: 4, warmUps: 4 }
    const count = arena.size(250, 10)
    const all = (): boolean => true
    await arena.takeTurns(turns, all, async ({ contender, note }) => {
      await arena.withReadyWorker(contender, async () => {
        const times = await timeEach(count, (index) => contender.ask(index))
        note('submit to result, p50', quantile(times, 0.5))
        note('submit to result, p99', quantile(times, 0.99))
      })
      contender.ran.step.checkAndReset(count)
    })
    const timeLightly = (where: string): Promise<void> =>
      arena.takeTurns(turns, all, async ({ contender, note }) => {
        await arena.withReadyWorker(contender, async () => {
          const times = await timeEach(count, (index) => askLightly(contender, index))
          note(`lone task ${where}, p50`, quantile(times, 0.5))
          note(`lone task ${where}, p99`, quantile(times, 0.99))
        })
        contender.ran.step.checkAndReset(count)
      })
    await timeLightly('to its reply')
    await arena.forEach((contender) => contender.pileUp(arena.size(100_000, 100)))
    await timeLightly('beside 100,000 that wait')
  },
}

const askLightly = (contender: Contender, index: number): Promise<unknown> =>
  contender.askLightly?.(index) ?? contender.ask(index)

/** In ms. */
async function timeEach(count: number, ask: (index: number) => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = []
  for (let index = 0; index < count; index++) {
    const since = performance.now()
    const result = await ask(index)
    times.push(performance.now() - since)
    assert.equal(result, index + 1)
  }
  return times
}
