import { untilRun } from '../arena'
import type { Contest } from '../contest'

const PROCESSES = [2, 4, 8]

export const processes: Contest = {
  name: 'processes',
  title:
    'lone no-op tasks added in bulk while two, four and eight worker processes run them, until all have run: 20,000',
  rows: PROCESSES.flatMap((count) => [
    { name: `${count} processes`, unit: '/s' },
    { name: `${count} processes, CPU of node + redis`, unit: 'µs' },
  ]),
  async run(arena) {
    const tasks = arena.size(20_000, 200)
    for (const count of PROCESSES) {
      await arena.takeTurns(
        { turns: 1, warmUps: 0 },
        () => true,
        async (turn) => {
          const { contender, note } = turn
          await arena.withProcesses(turn, arena.size(count, 2), async (workers) => {
            // Not counted, as above.
            await contender.enqueue({ count: tasks })
            await untilRun(workers, tasks)
            const { seconds, nodeSeconds, redisSeconds } = await arena.costOf(async () => {
              await contender.enqueue({ count: tasks })
              await untilRun(workers, 2 * tasks)
            }, workers)
            note(`${count} processes`, tasks / seconds)
            note(`${count} processes, CPU of node + redis`, ((nodeSeconds + redisSeconds) / tasks) * 1e6)
          })
          contender.ran.noop.checkAndReset(tasks, 2)
        },
      )
    }
  },
}
