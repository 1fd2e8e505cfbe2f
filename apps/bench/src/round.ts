// The program of one round: one workload on one transport, in a process that has run nothing else. Its plan and its answer are messages.
import { Bed, type BedOptions } from './bed'
import { workloads } from './catalogue'
import type { RoundResult } from './workload'

export interface RoundPlan extends BedOptions {
  readonly workload: string
}

export type RoundAnswer =
  | { readonly type: 'done'; readonly result: RoundResult }
  | { readonly type: 'failed'; readonly error: string }

async function runRound(plan: RoundPlan): Promise<RoundAnswer> {
  const workload = workloads.find(({ name }) => name === plan.workload)!
  const since = performance.now()
  const bed = await Bed.make(plan)
  try {
    const { capabilities } = bed.transport
    await workload.run(bed)
    const { server, durability } = capabilities
    const profile = await bed.takeProfile()
    const seconds = (performance.now() - since) / 1000
    return {
      type: 'done',
      result: {
        figures: bed.figures,
        floors: bed.floorTitles,
        server,
        durability,
        seconds,
        ...(profile === undefined ? {} : { profile }),
      },
    }
  } finally {
    await bed.close()
  }
}

process.once('message', (plan) => {
  runRound(plan as RoundPlan)
    .catch((error: unknown): RoundAnswer => ({
      type: 'failed',
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }))
    .then((answer) => process.send!(answer, () => process.disconnect()))
    .catch(() => process.exit(1))
})
