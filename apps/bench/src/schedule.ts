// Which round runs when: all workloads on all transports once, then again. A machine that slows down slows each of them.
import { fork } from 'node:child_process'
import { resolve as resolvePath } from 'node:path'
import type { Bundle } from './bundle'
import { schemeOf } from './place'
import type { RoundAnswer, RoundPlan } from './round'
import type { RoundResult, Workload } from './workload'

export interface ScheduleOptions {
  readonly workloads: readonly Workload[]
  readonly transports: readonly string[]
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

const ROUND_TIMEOUT_MS = 600_000

export async function runRounds(options: ScheduleOptions): Promise<readonly Series[]> {
  const { workloads, transports, rounds, lane, quick, profile, tell } = options
  const all: Series[] = workloads.flatMap((workload) =>
    transports.map((transport) => ({ workload, transport, rounds: [], failures: [] })),
  )
  for (let round = 1; round <= rounds; round++) {
    for (const series of all) {
      const { workload, transport } = series
      if (round > (workload.mostRounds ?? Infinity)) continue
      const what = `round ${round}/${Math.min(rounds, workload.mostRounds ?? rounds)}  ${transport.padEnd(8)} ${workload.name}`
      const answer = await runRound(options, {
        workload: workload.name,
        url: transport,
        lane,
        quick,
        ...(profile === undefined
          ? {}
          : { profile: resolvePath(profile, `${workload.name}-${schemeOf(transport)}.cpuprofile`) }),
      })
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

function runRound({ bundle }: ScheduleOptions, plan: RoundPlan): Promise<RoundAnswer> {
  return new Promise((resolve) => {
    const child = fork(bundle.round, [], {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
      // Its stdout is ours, which is for the report.
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    let answer: RoundAnswer | undefined
    const timer = setTimeout(() => {
      answer ??= { type: 'failed', error: `it did not end within ${ROUND_TIMEOUT_MS / 1000} s` }
      child.kill('SIGKILL')
    }, ROUND_TIMEOUT_MS)
    child.on('message', (message) => (answer = message as RoundAnswer))
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      resolve(answer ?? { type: 'failed', error: `its process ended with ${signal ?? code} and said nothing` })
    })
    child.send(plan)
  })
}
