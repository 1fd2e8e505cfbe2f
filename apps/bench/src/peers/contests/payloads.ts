import type { Contest } from '../contest'
import { measureLoneTasks } from './lone-task-turn'

const SIZES = [
  { name: '100 B', bytes: 100, count: 10_000 },
  { name: '10 KB', bytes: 10_000, count: 2_000 },
  { name: '100 KB', bytes: 100_000, count: 300 },
]

export const payloads: Contest = {
  name: 'payloads',
  title: 'lone tasks that carry 100 B (10,000 of them), 10 KB (2,000) and 100 KB (300)',
  rows: SIZES.flatMap(({ name }) => [
    { name: `${name}, bulk enqueue`, unit: '/s' },
    { name: `${name}, run`, unit: '/s' },
    { name: `${name}, CPU of node + redis`, unit: 'µs' },
  ]),
  async run(arena) {
    for (const { name, bytes, count: full } of SIZES) {
      const count = arena.size(full, Math.ceil(full / 100))
      const payload = 'x'.repeat(bytes)
      await arena.takeTurns(
        { turns: 2, warmUps: 1 },
        () => true,
        async ({ contender, note }) => {
          const { added, run } = await measureLoneTasks(arena, contender, { count, payload })
          const cpu = added.nodeSeconds + added.redisSeconds + run.nodeSeconds + run.redisSeconds
          note(`${name}, bulk enqueue`, count / added.seconds)
          note(`${name}, run`, count / run.seconds)
          note(`${name}, CPU of node + redis`, (cpu / count) * 1e6)
        },
      )
    }
  },
}
