// The program of one round: one contest, in a process that has run nothing else. Its plan and its answer are messages.
import { Arena, type ArenaOptions, type Samples } from './arena'
import { contests } from './contests'

export interface PeersRoundPlan extends Omit<ArenaOptions, 'lane'> {
  readonly contest: string
}

export type PeersRoundAnswer =
  | { readonly type: 'done'; readonly samples: Samples; readonly seconds: number }
  | { readonly type: 'failed'; readonly error: string }

async function answer(plan: PeersRoundPlan): Promise<PeersRoundAnswer> {
  try {
    const contest = contests.find(({ name }) => name === plan.contest)!
    const since = performance.now()
    const arena = await Arena.make({ ...plan, lane: contest.lane ?? 'local' })
    await contest.run(arena)
    await arena.close()
    return { type: 'done', samples: arena.samples, seconds: (performance.now() - since) / 1000 }
  } catch (error) {
    return { type: 'failed', error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

process.once('message', (plan) => {
  // After a failure something may still run.
  void answer(plan as PeersRoundPlan).then((said) => process.send!(said, () => process.exit()))
})
// Nobody would hear the answer.
process.once('disconnect', () => process.exit())
