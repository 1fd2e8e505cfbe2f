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

async function runRound(plan: RoundPlan, bed: Bed): Promise<RoundResult> {
  const workload = workloads.find(({ name }) => name === plan.workload)!
  const since = performance.now()
  await workload.run(bed)
  const { server, durability } = bed.transport.capabilities
  const seconds = (performance.now() - since) / 1000
  const profile = await bed.takeProfile()
  // What does not close is a failure too.
  await bed.close()
  const result = { figures: bed.figures, floors: bed.floorTitles, server, durability, seconds }
  return profile === undefined ? result : { ...result, profile }
}

async function answer(plan: RoundPlan): Promise<RoundAnswer> {
  let bed: Bed | undefined
  try {
    bed = await Bed.make(plan)
    return { type: 'done', result: await runRound(plan, bed) }
  } catch (error) {
    return { type: 'failed', error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  } finally {
    bed?.removeStore()
  }
}

process.once('message', (plan) => {
  // After a failure something may still run.
  void answer(plan as RoundPlan).then((said) => process.send!(said, () => process.exit()))
})
