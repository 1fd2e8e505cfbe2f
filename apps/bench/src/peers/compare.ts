// Which round runs when: all contests once, then again, on one server.
import { startRedis } from '@tasks/dev-config/brokers'
import type { Bundle } from '../bundle'
import { runProgram } from '../run-program'
import type { Samples } from './arena'
import type { ContenderName } from './contender'
import type { Contest } from './contest'
import type { PeersRoundAnswer, PeersRoundPlan } from './peers-round'

export type AppendFsync = 'always' | 'everysec' | 'no'

export interface CompareOptions {
  readonly contests: readonly Contest[]
  readonly contenders: readonly ContenderName[]
  readonly rounds: number
  readonly appendfsync: AppendFsync
  readonly quick: boolean
  readonly bundle: Bundle
  readonly tell: (line: string) => void
}

export interface ContestSeries {
  readonly contest: Contest
  /** One for each round. */
  readonly rounds: Samples[]
  readonly failures: string[]
}

export interface Comparison {
  readonly server: string
  readonly series: readonly ContestSeries[]
}

// A rewrite in the background would meet whoever has his turn then.
const SETTINGS = ['--auto-aof-rewrite-percentage', '0']

/** @throws NoBroker if there is no server to be had */
export async function compare(options: CompareOptions): Promise<Comparison> {
  const { contenders, rounds, appendfsync, quick, bundle, tell } = options
  const series: ContestSeries[] = options.contests.map((contest) => ({ contest, rounds: [], failures: [] }))
  const server = await startRedis({ appendfsync, settings: SETTINGS })
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const { contest, rounds: done, failures } of series) {
        const what = `round ${round}/${rounds}  ${contest.name}`
        const plan: PeersRoundPlan = { contest: contest.name, url: server.url, contenders, round, quick }
        const answer = await runProgram<PeersRoundAnswer>(bundle.peersRound, plan)
        if (answer.type === 'done') {
          done.push(answer.samples)
          tell(`${what}: ${answer.seconds.toFixed(1)} s`)
        } else {
          failures.push(answer.error)
          tell(`${what}: FAILED\n${answer.error}`)
        }
      }
    }
    return { server: `Redis ${server.version}, appendfsync ${appendfsync}`, series }
  } finally {
    await server.stop()
  }
}
