// Three servers, of which one is killed at a time: what was accepted ends right, and what was promised is kept by the others.
import { createClient, createTasks, inParallel, startWorker, TaskError } from '@tasks/core'
import { NoBroker, startNatsCluster, type Server } from '@tasks/dev-config/brokers'
import { connect } from '@nats-io/transport-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { natsTransport } from '../src/index'

const VERSIONS = ['2.10.27', '2.12.1', '2.15.2']
const PATIENCE_MS = 60_000

/** The servers choose leaders at first, and after each death. */
async function insist<T>(attempt: () => Promise<T>): Promise<T> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE' || performance.now() > until) throw error
      await sleep(200)
    }
  }
}

/** A stream, or a consumer of one. */
interface Group {
  readonly config: { readonly durable_name?: string }
  readonly cluster?: {
    readonly leader?: string
    readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[]
  }
}

/** Resolves when every copy of every stream and queue has caught up: until then the cluster cannot do without another server. */
async function whole({ url }: Server): Promise<void> {
  const client = await connect({ servers: url })
  const ask = async (path: string): Promise<Record<string, unknown>> =>
    (await client.request(`$JS.API.${path}`, '', { timeout: 2_000 })).json()
  const isWhole = ({ cluster }: Group): boolean =>
    cluster?.leader !== undefined &&
    (cluster.replicas ?? []).every(({ current, offline }) => current && offline !== true)
  try {
    await expect
      .poll(
        async () => {
          const { streams } = (await ask('STREAM.NAMES')) as { streams: readonly string[] }
          const groups = await Promise.all(
            streams.map(async (stream) => {
              const { consumers } = (await ask(`CONSUMER.LIST.${stream}`)) as { consumers: readonly Group[] | null }
              // Those of one process go with it, and are kept by one server.
              const kept = (consumers ?? []).filter(({ config }) => config.durable_name !== undefined)
              return [(await ask(`STREAM.INFO.${stream}`)) as unknown as Group, ...kept]
            }),
          )
          return groups.flat().filter((group) => !isWhole(group)).length
        },
        { timeout: PATIENCE_MS, interval: 250 },
      )
      .toBe(0)
  } finally {
    await client.close()
  }
}

test.for(VERSIONS)(
  'a cluster of three with nats-server %s loses nothing when one of its servers is killed, one after the other',
  { timeout: 10 * PATIENCE_MS },
  async (version, ctx) => {
    let servers: readonly Server[]
    try {
      servers = await startNatsCluster({ version })
    } catch (error) {
      if (error instanceof NoBroker) return ctx.skip(error.message)
      throw error
    }
    onTestFinished(async () => {
      await Promise.all(servers.map((server) => server.stop()))
    })
    const url = `nats://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`
    const tasks = createTasks({ namespace: 'cluster' })
    const double = tasks.bind('double', (n: number) => n * 2)
    const sum = tasks.bind('sum', (all: number[]) => all.reduce((total, n) => total + n, 0))
    const transport = natsTransport({ url, patienceMs: 20_000 })
    const other = natsTransport({ url, patienceMs: 20_000 })
    onTestFinished(async () => {
      await Promise.all([transport.close(), other.close()])
    })
    const options = { tasks, partitions: 4, leaseMs: 2_000 }
    const workers = [
      await insist(() => startWorker({ ...options, transport })),
      await insist(() => startWorker({ ...options, transport: other, localLane: false })),
    ]
    expect(transport.capabilities.durability).toBe('replicated')
    const client = createClient({ namespace: 'cluster', transport, answerMs: 1_000 })
    for (const [round, victim] of servers.entries()) {
      const runs = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          insist(() =>
            client.submit(inParallel(Array.from({ length: 20 }, (__, k) => double.send(k))).continueWith(sum), {
              id: `${round}.${i}`,
            }),
          ),
        ),
      )
      victim.kill('SIGKILL')
      for (const run of runs) expect(await run.result({ timeoutMs: PATIENCE_MS })).toBe(380)
      const late = await insist(() => client.submit(double.send(round), { id: `late ${round}` }))
      expect(await late.result({ timeoutMs: PATIENCE_MS })).toBe(2 * round)
      await victim.restart()
      await whole(victim)
    }
    expect(await insist(() => client.deadLetters.list())).toEqual([])
    await client.close()
    for (const worker of workers) await worker.close()
  },
)
