import assert from 'node:assert/strict'
import type { Arena, Spent } from '../arena'
import type { Contender } from '../contender'
import type { Contest } from '../contest'

const canFanOut = (contender: Contender): boolean => contender.fanOut !== undefined

export const fanOut: Contest = {
  name: 'fan-out',
  title: '1-N-1 with 20,000 children in one process: a task makes them, another takes their results',
  rows: [
    { name: 'children', unit: '/s', bar: 18, reach: 40 },
    { name: 'CPU of node + redis, a child', unit: 'µs' },
  ],
  run: (arena) =>
    arena.takeTurns({ turns: 2, warmUps: 1 }, canFanOut, async ({ contender, note }) => {
      const children = arena.size(20_000, 100)
      await arena.withReadyWorker(contender, async () => {
        const spent = await measureFanOut(arena, contender, children)
        note('children', children / spent.seconds)
        note('CPU of node + redis, a child', ((spent.nodeSeconds + spent.redisSeconds) / children) * 1e6)
      })
      contender.ran.noop.checkAndReset(children)
    }),
}

export const fanOutElsewhere: Contest = {
  name: 'fan-out-elsewhere',
  title: '1-N-1 with 20,000 children by two, four and eight worker processes; ours with its local lane off',
  lane: 'queue',
  rows: [
    { name: 'children, 2 processes', unit: '/s', bar: 9, reach: 16 },
    { name: 'CPU of node + redis, a child, 2 processes', unit: 'µs' },
    { name: 'children, 4 processes', unit: '/s' },
    { name: 'children, 8 processes', unit: '/s' },
  ],
  async run(arena) {
    const children = arena.size(20_000, 100)
    for (const processes of [2, 4, 8]) {
      await arena.takeTurns({ turns: 1, warmUps: 0 }, canFanOut, async (turn) => {
        const { contender, note } = turn
        await arena.withProcesses(turn, arena.size(processes, 2), async (workers) => {
          // The first is not counted: it is mostly the compiler's.
          await measureFanOut(arena, contender, children)
          const { seconds, nodeSeconds, redisSeconds } = await arena.costOf(
            () => measureFanOut(arena, contender, children),
            workers,
          )
          note(`children, ${processes} processes`, children / seconds)
          if (processes === 2)
            note('CPU of node + redis, a child, 2 processes', ((nodeSeconds + redisSeconds) / children) * 1e6)
        })
        contender.ran.noop.checkAndReset(children, 2)
      })
    }
  },
}

async function measureFanOut(arena: Arena, contender: Contender, children: number): Promise<Spent> {
  let collected: unknown
  const spent = await arena.costOf(async () => (collected = await contender.fanOut!(children)))
  assert.deepEqual(collected, { count: children, wrong: 0 })
  return spent
}
