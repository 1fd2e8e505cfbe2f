// `npm run soak`: a real server and its workers are killed and stopped, for as long as you like.
import { NoBroker, startKafka, startNats, startRedis, type Server } from '@tasks/dev-config/brokers'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import { transportOf } from './place'
import {
  harms,
  harmsOfServers,
  harmsOfWorkers,
  PIPELINES,
  soak,
  type HarmName,
  type Network,
  type Round,
} from './rounds'

const HELP = `npm run soak -- [options]

  --transport NAME   redis (appendfsync always), nats, kafka: a real server started for it; or sqlite   (redis)
  --minutes N        for how long rounds are begun        (10)
  --rounds N         so many, however long they take
  --seed N           of what is submitted and what is done to it, and when; how the machine answers is never twice the same
  --help             this

Four processes: two that own partitions and run tasks, one that only owns, one that only runs. In each round ten pipelines are submitted, five of which wait for an
event of the others, and one of these things is done in the middle of them (those of the network on Redis and NATS only; on SQLite only those of workers):
${Object.keys(harms)
  .map((name) => `  - ${name}`)
  .join('\n')}
Then each pipeline must have come to its result, and the event log must tell its whole story: no transition missing, none twice, none after the end.
Ctrl-C ends with the round. The exit code is 1 if anything was wrong.`

/** What is the matter with the command line, for people. */
class Misuse extends Error {}

interface Options {
  readonly transport: keyof typeof transports
  readonly minutes: number
  readonly rounds: number
  readonly seed: number
}

interface Where extends Pick<Server, 'kill' | 'restart' | 'stop'> {
  readonly url: string
  /** What it is, for people. */
  readonly title: string
  readonly leaseMs: number
  readonly network?: Network
  readonly harms: readonly HarmName[]
}

const transports = {
  redis: async () => throughNetwork('Redis', 'appendfsync always', await startRedis({ appendfsync: 'always' }), 1_000),
  nats: async () => throughNetwork('NATS', 'JetStream', await startNats(), 1_000),
  // Brokers tell clients where they are, past any network of ours.
  kafka: async () => onServer('Kafka', 'one broker', await startKafka(), 2_000),
  sqlite: (): Where => {
    const folder = mkdtempSync(join(tmpdir(), 'tasks-soak-'))
    return {
      url: `sqlite:${join(folder, 'tasks.db')}`,
      title: 'SQLite, synchronous FULL',
      leaseMs: 1_000,
      harms: harmsOfWorkers,
      kill: () => {},
      restart: () => Promise.resolve(),
      stop: () => Promise.resolve(rmSync(folder, { recursive: true, force: true })),
    }
  },
}

function onServer(name: string, settings: string, server: Server, leaseMs: number): Where {
  const { url, version, kill } = server
  return {
    url,
    title: `${name} ${version}, ${settings}`,
    leaseMs,
    harms: harmsOfServers,
    kill,
    restart: () => server.restart(),
    stop: () => server.stop(),
  }
}

async function throughNetwork(name: string, settings: string, server: Server, leaseMs: number): Promise<Where> {
  const network = await Proxy.to(server.port)
  const url = server.url.replace(`:${server.port}`, `:${network.port}`)
  const where = onServer(name, settings, server, leaseMs)
  const stop = async (): Promise<void> => {
    await network.close()
    await where.stop()
  }
  return { ...where, url, network, harms: Object.keys(harms) as HarmName[], stop }
}

function readCommandLine(): Options | 'help' {
  const { values } = parseArgs({
    options: {
      transport: { type: 'string', default: 'redis' },
      minutes: { type: 'string' },
      rounds: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const { transport, rounds } = values
  if (!Object.hasOwn(transports, transport))
    throw new Misuse(`--transport is one of ${Object.keys(transports).join(', ')}, not "${transport}"`)
  return {
    transport: transport as keyof typeof transports,
    minutes:
      values.minutes === undefined && rounds !== undefined ? Infinity : above0('minutes', values.minutes ?? '10'),
    rounds: rounds === undefined ? Infinity : above0('rounds', rounds),
    seed: values.seed === undefined ? Date.now() % 1_000_000 : above0('seed', values.seed),
  }
}

function above0(name: string, text: string): number {
  const number = Number(text)
  if (!(number > 0)) throw new Misuse(`--${name} is a number above 0, not "${text}"`)
  return number
}

async function run({ transport: name, minutes, rounds, seed }: Options): Promise<void> {
  const stopping = new AbortController()
  const timer = Number.isFinite(minutes) ? setTimeout(() => stopping.abort(), minutes * 60_000) : undefined
  process.once('SIGINT', () => {
    console.error('soak: ends with this round; once more to end at once')
    // What is to be done at an exit stops servers.
    process.once('SIGINT', () => process.exit(130))
    stopping.abort()
  })
  process.once('SIGTERM', () => process.exit(143))
  const where = await transports[name]()
  console.error(`soak: ${where.title}`)
  const since = performance.now()
  const seconds = (): number => Math.round((performance.now() - since) / 1000)
  const times = new Map<HarmName, number>()
  let tasks = 0
  const onRound = (round: Round): void => {
    times.set(round.harm, (times.get(round.harm) ?? 0) + 1)
    tasks += round.tasks
    const { harm, seconds: took } = round
    console.error(`${String(seconds()).padStart(6)} s  round ${round.round + 1}, ${took.toFixed(1)} s: ${harm}`)
  }
  try {
    const place = { url: where.url, adapter: new URL(`../../transport-${name}/src/index.ts`, import.meta.url) }
    const transport = await transportOf(place)
    const { leaseMs, network, harms: only } = where
    const { signal } = stopping
    const ended = await soak({
      server: where,
      ...(network !== undefined && { network }),
      place,
      transport,
      rounds,
      signal,
      leaseMs,
      seed,
      only,
      apart: true,
      onRound,
    })
    console.log(
      `${where.title}, ${seconds()} s: ${ended} pipelines of ${tasks} tasks in ${ended / PIPELINES} rounds have ended right, none was lost, no transition was made twice`,
    )
    for (const [harm, count] of times) console.log(`${String(count).padStart(6)} x  ${harm}`)
  } finally {
    clearTimeout(timer)
    await where.stop()
  }
}

try {
  const options = readCommandLine()
  if (options === 'help') console.log(HELP)
  else await run(options)
} catch (error) {
  const isMisuse = error instanceof Misuse || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true
  if (isMisuse || error instanceof NoBroker) console.error(`soak: ${(error as Error).message}; --help says more`)
  else console.error(error)
  process.exitCode = isMisuse ? 2 : 1
}
