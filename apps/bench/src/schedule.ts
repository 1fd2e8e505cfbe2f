// Which round runs when: all workloads on all transports once, then again. A machine that slows down slows each of them.
import { resolve as resolvePath } from 'node:path'
import type { Bundle } from './bundle'
import { schemeOf } from './place'
import type { RoundAnswer, RoundPlan } from './round'
import { runProgram } from './run-program'
import type { RoundResult, Workload } from './workload'

export interface ScheduleOptions {
  readonly workloads: readonly Workload[]
  readonly transports: readonly string[]
  /** Where each of them is; as it is called, if absent. */
  readonly urlOf?: (transport: string) => string
  readonly rounds: number
  readonly lane: 'local' | 'queue'
  readonly quick: boolean
  readonly bundle: Bundle
  /** The folder for CPU profiles, if there are to be any. */
  readonly profile?: string
  readonly tell: (line: string) => void
}

export interface Series {
  readonly workload: Workload
  readonly transport: string
  readonly rounds: RoundResult[]
  readonly failures: string[]
}

export async function runRounds(options: ScheduleOptions): Promise<readonly Series[]> {
  const { workloads, transports, urlOf, rounds, lane, quick, profile, bundle, tell } = options
  const all: Series[] = workloads.flatMap((workload) =>
    transports.map((transport) => ({ workload, transport, rounds: [], failures: [] })),
  )
  for (let round = 1; round <= rounds; round++) {
    for (const series of all) {
      const { workload, transport } = series
      if (round > (workload.mostRounds ?? Infinity)) continue
      const what = `round ${round}/${Math.min(rounds, workload.mostRounds ?? rounds)}  ${transport.padEnd(8)} ${workload.name}`
      const plan: RoundPlan = {
        workload: workload.name,
        url: urlOf?.(transport) ?? transport,
        lane,
        quick,
        ...(profile === undefined
          ? {}
          : { profile: resolvePath(profile, `${workload.name}-${schemeOf(transport)}.cpuprofile`) }),
      }
      const answer = await runProgram<RoundAnswer>(bundle.round, plan)
      if (answer.type === 'done') {
        series.rounds.push(answer.result)
        tell(`${what}: ${answer.result.seconds.toFixed(1)} s`)
      } else {
        series.failures.push(answer.error)
        tell(`${what}: FAILED\n${answer.error}`)
      }
    }
  }
  return all
}
