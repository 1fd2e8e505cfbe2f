// Servers and workers that are killed and stopped while pipelines run: what was accepted ends right, and once.
import { createClient, TaskError, type Client, type PipelineStatus, type Transport } from '@tasks/core'
import { systemClock, waitAtMost } from '@tasks/core/adapter'
import { virtualClock } from '@tasks/core/testing'
import type { Server } from '@tasks/dev-config/brokers'
import type { Proxy } from '@tasks/dev-config/brokers/proxy'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { Commits } from './commits'
import { History } from './history'
import type { Place } from './place'
import { NAMESPACE, pairOf } from './tasks'
import { supervise, type Supervised } from './worker-process'

/** In a round. */
export const PIPELINES = 10
const PATIENCE_MS = 60_000

export type Network = Pick<Proxy, 'accept' | 'cut' | 'delay' | 'hang' | 'refuse' | 'trap'>

interface Scene {
  readonly server: Pick<Server, 'kill' | 'restart'>
  /** Between the server and everybody. */
  readonly network: Network | undefined
  readonly workers: readonly Supervised[]
  readonly random: () => number
  readonly leaseMs: number
}

export type Harm = (scene: Scene) => Promise<void>

export const harms = {
  async 'the server is killed and starts again'({ server }) {
    server.kill('SIGKILL')
    await server.restart()
  },
  async 'a worker is killed'({ workers, random }) {
    oneOf(workers, random).signal('SIGKILL')
    await Promise.resolve()
  },
  async 'the server is stopped for a while'({ server, random, leaseMs }) {
    server.kill('SIGSTOP')
    await sleep(leaseMs * (0.5 + random()))
    server.kill('SIGCONT')
  },
  async 'a worker is stopped for longer than its lease'({ workers, random, leaseMs }) {
    const worker = oneOf(workers, random)
    worker.signal('SIGSTOP')
    await sleep(leaseMs * (1 + random()))
    worker.signal('SIGCONT')
  },
  async 'the workers and the server are killed'({ server, workers }) {
    for (const worker of workers) worker.signal('SIGKILL')
    server.kill('SIGKILL')
    await server.restart()
  },
  async 'connections are cut again and again'({ network, random, leaseMs }) {
    assert.ok(network)
    for (let times = 0; times < 5; times++) {
      network.cut()
      await sleep((leaseMs / 5) * random())
    }
  },
  async 'answers are lost'({ network, random, leaseMs }) {
    assert.ok(network)
    // Of whatever is asked next; it has been done by then.
    for (let times = 0; times < 5; times++) {
      await Promise.race([network.trap(() => true, 'unanswered'), sleep(leaseMs)])
      await sleep((leaseMs / 10) * random())
    }
  },
  async 'the network is away, silently, for longer than a lease'({ network, random, leaseMs }) {
    assert.ok(network)
    network.refuse()
    network.hang()
    await sleep(leaseMs * (1 + random()))
    network.accept()
    network.cut()
  },
  async 'the network is slow, and a worker is killed'({ network, workers, random, leaseMs }) {
    assert.ok(network)
    network.delay(leaseMs * 0.2 * random())
    await sleep(leaseMs * random())
    oneOf(workers, random).signal('SIGKILL')
    await sleep(leaseMs * random())
    network.delay(0)
    // What is still on its way would be overtaken.
    network.cut()
  },
} as const satisfies Readonly<Record<string, Harm>>

export type HarmName = keyof typeof harms

export const harmsOfNetworks = [
  'connections are cut again and again',
  'answers are lost',
  'the network is away, silently, for longer than a lease',
  'the network is slow, and a worker is killed',
] as const satisfies readonly HarmName[]

/** Those of a place whose server is met directly. */
export const harmsOfServers = (Object.keys(harms) as HarmName[]).filter(
  (name) => !(harmsOfNetworks as readonly HarmName[]).includes(name),
)

/** Those of a place where there is no server. */
export const harmsOfWorkers = [
  'a worker is killed',
  'a worker is stopped for longer than its lease',
] as const satisfies readonly HarmName[]

export interface SoakOptions {
  readonly server: Pick<Server, 'kill' | 'restart'>
  /** If the place and the transport lead through one. */
  readonly network?: Network
  readonly place: Place
  /** For the client. It is closed in the end. */
  readonly transport: Transport
  /** Default: until the signal. */
  readonly rounds?: number
  /** No further round is begun. */
  readonly signal?: AbortSignal
  readonly leaseMs: number
  readonly seed: number
  /** Default: all, or without a network all but those of one. */
  readonly only?: readonly HarmName[]
  /** Also a process that owns partitions and runs nothing, and one that only runs tasks. Default: two that do both. */
  readonly apart?: boolean
  readonly onRound?: (round: Round) => void
}

/** What has passed. */
export interface Round {
  readonly round: number
  readonly harm: HarmName
  /** Task entries of its pipelines. */
  readonly tasks: number
  readonly seconds: number
}

/** Asks again while owners are being replaced: where nobody else can read rows, nobody answers then. */
async function answered<T>(ask: () => Promise<T>): Promise<T> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE' || performance.now() > until) throw error
      await sleep(100)
    }
  }
}

/**
 * Workers in processes of their own, ten pipelines a round, and one harm in the middle of each; what the event log tells of them is held against what happened.
 * Answers how many pipelines have ended.
 * @throws AssertionError if one is lost or comes to something else, or if anything that happens once has happened twice
 */
export async function soak(options: SoakOptions): Promise<number> {
  const {
    server,
    network,
    place,
    transport,
    rounds = Infinity,
    signal,
    leaseMs,
    seed,
    apart = false,
    onRound,
  } = options
  console.log(`TASKS_SEED=${seed}`)
  const { random } = virtualClock({ seed })
  // The owner that was asked for a result may be killed: ask again soon.
  const client = createClient({ namespace: NAMESPACE, transport, answerMs: 300 })
  const settings = { leaseMs, concurrency: 5, partitions: 4, events: 'tasks', durableWorkerEvents: true } as const
  // The one hands over in memory, the other goes through the queue, so that both ways are cut.
  const workers = [supervise(place, settings), supervise(place, { ...settings, localLane: false })]
  if (apart)
    for (const role of ['owner', 'worker'] as const) workers.push(supervise(place, { ...settings, roles: [role] }))
  try {
    const started = Promise.all(workers.map((worker) => worker.started))
    assert.ok(
      await waitAtMost(systemClock, PATIENCE_MS, started),
      `a worker had not started after ${PATIENCE_MS / 1000} s`,
    )
    const history = new History(client)
    const commits = new Commits(await transport.open({ namespace: NAMESPACE }))
    const names = options.only ?? (network === undefined ? harmsOfServers : (Object.keys(harms) as HarmName[]))
    let submitted = 0
    for (let round = 0; round < rounds && signal?.aborted !== true; round++) {
      const since = performance.now()
      const pairs = Array.from({ length: PIPELINES / 2 }, (_, pair) =>
        pairOf(`${round}.${pair}`, Math.floor(random() * 100), 1 + Math.floor(random() * 20)),
      )
      const wanted = pairs.flat().map((work, index) => ({ id: `${round}.${index}`, work }))
      // A submit while the server is away may be refused; then it is not accepted, and tried again.
      const accepted = wanted.map(async ({ id, work }) => {
        await sleep(random() * 200)
        return { work, run: await answered(() => client.submit(work.pipeline, { id })) }
      })
      submitted += PIPELINES
      await sleep(random() * 250)
      const harm = names[round] ?? oneOf(names, random)
      await harms[harm]({ server, network, workers, random, leaseMs })
      const tasks = new Map<string, number>()
      for (const { work, run } of await Promise.all(accepted)) {
        const what = `round ${round} (${harm}), pipeline ${run.id}`
        const outcome = await run.result({ timeoutMs: PATIENCE_MS }).catch((error: unknown) => error)
        assert.deepEqual({ what, outcome }, { what, outcome: work.expected })
        const { status, done, tasks: all } = await answered(() => run.status())
        assert.deepEqual({ what, status, done, all }, { what, status: 'COMPLETED', done: work.tasks, all: work.tasks })
        tasks.set(run.id, work.tasks)
      }
      await answered(() => history.check(tasks))
      await answered(() => commits.check())
      const total = [...tasks.values()].reduce((sum, count) => sum + count)
      onRound?.({ round, harm, tasks: total, seconds: (performance.now() - since) / 1000 })
    }
    const ended = await listAll(client)
    assert.deepEqual([...new Set(ended.map(({ status }) => status))], submitted === 0 ? [] : ['COMPLETED'])
    assert.equal(ended.length, submitted, 'pipelines that are there in the end')
    assert.deepEqual(await answered(() => client.deadLetters.list()), [])
    const deaths = workers.map((worker) => worker.deaths)
    for (const worker of workers) worker.stop()
    // What one of them has said since, though it had lost its partition.
    await answered(() => commits.check())
    assert.deepEqual(
      deaths,
      workers.map(() => 0),
      'workers that died although nobody killed them',
    )
    return ended.length
  } finally {
    for (const worker of workers) worker.stop()
    await client.close()
    await transport.close()
  }
}

async function listAll(client: Client): Promise<readonly PipelineStatus[]> {
  const all: PipelineStatus[] = []
  let after: string | undefined
  do {
    const page = await answered(() => client.list({ limit: 10_000, ...(after !== undefined && { after }) }))
    assert.ok(!page.incomplete, 'every partition has answered')
    all.push(...page.pipelines)
    after = page.after
  } while (after !== undefined)
  return all
}

function oneOf<T>(choices: readonly T[], random: () => number): T {
  return choices[Math.floor(random() * choices.length)]!
}
