import type { Contest } from '../contest'
import { measureLoneTasks } from './lone-task-turn'

export const loneTasks: Contest = {
  name: 'lone-tasks',
  title: '20,000 lone no-op tasks: added in bulk while no worker is up, then run by one at concurrency 100',
  rows: [
    { name: 'bulk enqueue', unit: '/s', bar: 15, reach: 35 },
    { name: 'run, concurrency 100', unit: '/s', bar: 7, reach: 12 },
    { name: 'CPU of node + redis, added and run', unit: 'µs', bar: 0.15, reach: 0.06 },
    { name: 'node, to add', unit: 'µs' },
    { name: 'redis, to add', unit: 'µs' },
    { name: 'node, to run', unit: 'µs' },
    { name: 'redis, to run', unit: 'µs' },
    { name: 'memory in Redis, waiting', unit: 'B', bar: 0.3, reach: 0.15 },
  ],
  run: (arena) =>
    arena.takeTurns(
      { turns: 3, warmUps: 2 },
      () => true,
      async ({ contender, note }) => {
        const count = arena.size(20_000, 200)
        const { added, run, bytes } = await measureLoneTasks(arena, contender, { count })
        const micros = (seconds: number): number => (seconds / count) * 1e6
        note('bulk enqueue', count / added.seconds)
        note('run, concurrency 100', count / run.seconds)
        note(
          'CPU of node + redis, added and run',
          micros(added.nodeSeconds + added.redisSeconds + run.nodeSeconds + run.redisSeconds),
        )
        note('node, to add', micros(added.nodeSeconds))
        note('redis, to add', micros(added.redisSeconds))
        note('node, to run', micros(run.nodeSeconds))
        note('redis, to run', micros(run.redisSeconds))
        note('memory in Redis, waiting', bytes / count)
      },
    ),
}
