import { parseArgs } from 'node:util'
import { workloads } from './catalogue'
import { openSection, type PutSection } from './markdown'
import type { AppendFsync } from './peers/compare'
import type { Contest } from './peers/contest'
import { contests } from './peers/contests'
import type { Workload } from './workload'

export interface CommandLine {
  readonly peers?: undefined
  readonly workloads: readonly Workload[]
  readonly transports: readonly string[]
  readonly rounds: number
  readonly lane: 'local' | 'queue'
  readonly quick: boolean
  readonly json: boolean
  /** Puts the report into a page, too. */
  readonly putSection?: PutSection
  readonly profile?: string
}

/** The comparison with other engines. */
export interface PeersCommandLine {
  readonly peers: 'redis'
  readonly contests: readonly Contest[]
  readonly rounds: number
  readonly appendfsync: AppendFsync
  readonly quick: boolean
  readonly json: boolean
  readonly putSection?: PutSection
}

export const HELP = `npm run bench -- [options]

  --transport URL     where to run; may be given several times     (memory: and sqlite:)
                      sqlite: is a new file for temporary files, sqlite:PATH one on the disk of PATH; ?synchronous=normal is kept
                      redis:, nats:, kafka: are servers that are started for this run, nats:2.12.1 is one of that version
  --only NAME         this workload; may be given several times, or be names with commas
  --rounds N          rounds, each in a new process                (5)
  --lane local|queue  whether tasks may run in their owner's process without a queue   (local)
  --quick             small sizes, one round: checks that everything works, measures nothing
  --json              one JSON document on stdout instead of the table
  --markdown FILE     the table goes into this page, too: between <!-- bench:floors --> (with --peers, <!-- bench:peers -->) and <!-- /bench -->
  --profile FOLDER    one round under the CPU profiler, whose files go there; prints where the time went instead of rates
  --peers redis       instead: this engine, BullMQ and bee-queue side by side on a Redis server started for it; with --only, --rounds, --quick, --json, --markdown
  --appendfsync HOW   of that server: always, everysec, no         (everysec)
  --list              the workloads; with --peers, what is compared
  --help              this

A workload that finds a task run too often, too seldom, or a wrong result fails, and so does the command.`

/** @throws Error with a message for people */
export function parseCommandLine(
  args: readonly string[],
): CommandLine | PeersCommandLine | 'help' | 'list' | 'list peers' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      peers: { type: 'string' },
      appendfsync: { type: 'string' },
      transport: { type: 'string', multiple: true },
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      lane: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      markdown: { type: 'string' },
      profile: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  if (values.list) return values.peers === undefined ? 'list' : 'list peers'
  const { peers, lane = 'local', quick, json, profile } = values
  const section = peers === undefined ? 'floors' : 'peers'
  const page = values.markdown === undefined ? {} : { putSection: openSection(values.markdown, section) }
  if (lane !== 'local' && lane !== 'queue') throw new Error(`--lane is local or queue, not "${lane}"`)
  const rounds = Number(values.rounds ?? (quick || profile !== undefined ? 1 : 5))
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds is a number of at least 1, not "${values.rounds}"`)
  if (peers !== undefined) {
    if (peers !== 'redis') throw new Error(`--peers is redis, not "${peers}"`)
    for (const name of ['transport', 'lane', 'profile'] as const)
      if (values[name] !== undefined) throw new Error(`--${name} says nothing to --peers`)
    const { appendfsync = 'everysec' } = values
    if (appendfsync !== 'always' && appendfsync !== 'everysec' && appendfsync !== 'no')
      throw new Error(`--appendfsync is always, everysec or no, not "${appendfsync}"`)
    return { peers, contests: choose(contests, values.only), rounds, appendfsync, quick, json, ...page }
  }
  if (values.markdown !== undefined && profile !== undefined) throw new Error('--markdown says nothing to --profile')
  if (values.appendfsync !== undefined) throw new Error('--appendfsync belongs to --peers')
  return {
    workloads: choose(workloads, values.only),
    transports: values.transport ?? ['memory:', 'sqlite:'],
    rounds,
    lane,
    quick,
    json,
    ...page,
    ...(profile === undefined ? {} : { profile }),
  }
}

function choose<T extends { readonly name: string }>(
  all: readonly T[],
  only: readonly string[] | undefined,
): readonly T[] {
  if (only === undefined) return all
  const names = only.flatMap((text) => text.split(','))
  for (const name of names) {
    if (all.every((each) => each.name !== name))
      throw new Error(`there is no workload "${name}"; known: ${all.map((each) => each.name).join(', ')}`)
  }
  return all.filter(({ name }) => names.includes(name))
}
