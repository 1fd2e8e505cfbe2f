import { parseArgs } from 'node:util'
import { workloads } from './catalogue'
import type { Workload } from './workload'

export interface CommandLine {
  readonly workloads: readonly Workload[]
  readonly transports: readonly string[]
  readonly rounds: number
  readonly lane: 'local' | 'queue'
  readonly quick: boolean
  readonly json: boolean
  readonly profile?: string
}

export const HELP = `npm run bench -- [options]

  --transport URL     where to run; may be given several times     (memory: and sqlite:)
                      sqlite: is a new file for temporary files, sqlite:PATH one on the disk of PATH; ?synchronous=normal is kept
  --only NAME         this workload; may be given several times, or be names with commas
  --rounds N          rounds, each in a new process                (5)
  --lane local|queue  whether tasks may run in their owner's process without a queue   (local)
  --quick             small sizes, one round: checks that everything works, measures nothing
  --json              one JSON document on stdout instead of the table
  --profile FOLDER    one round under the CPU profiler, whose files go there; prints where the time went instead of rates
  --list              the workloads
  --help              this

A workload that finds a task run too often, too seldom, or a wrong result fails, and so does the command.`

/** @throws Error with a message for people */
export function parseCommandLine(args: readonly string[]): CommandLine | 'help' | 'list' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      transport: { type: 'string', multiple: true, default: ['memory:', 'sqlite:'] },
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      lane: { type: 'string', default: 'local' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      profile: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  if (values.list) return 'list'
  const { lane, quick, json, profile } = values
  if (lane !== 'local' && lane !== 'queue') throw new Error(`--lane is local or queue, not "${lane}"`)
  const rounds = Number(values.rounds ?? (quick || profile !== undefined ? 1 : 5))
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds is a number of at least 1, not "${values.rounds}"`)
  return {
    workloads: choose(values.only),
    transports: values.transport,
    rounds,
    lane,
    quick,
    json,
    ...(profile === undefined ? {} : { profile }),
  }
}

function choose(only: readonly string[] | undefined): readonly Workload[] {
  if (only === undefined) return workloads
  const names = only.flatMap((text) => text.split(','))
  for (const name of names) {
    if (workloads.every((workload) => workload.name !== name)) {
      throw new Error(`there is no workload "${name}"; known: ${workloads.map((workload) => workload.name).join(', ')}`)
    }
  }
  return workloads.filter(({ name }) => names.includes(name))
}
