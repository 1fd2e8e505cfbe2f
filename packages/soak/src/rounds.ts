// Servers and workers that are killed and stopped while pipelines run: what was accepted ends right, and once.
import { createClient, TaskError, type Transport } from '@tasks/core'
import { virtualClock } from '@tasks/core/testing'
import type { Server } from '@tasks/dev-config/brokers'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import { NAMESPACE, workOf } from './tasks'
import { checkTold } from './told'
import { supervise, type Place, type Supervised } from './worker-process'

/** In a round. */
export const PIPELINES = 10
const PATIENCE_MS = 60_000

interface Scene {
  readonly server: Server
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
    workers[Math.floor(random() * workers.length)]!.signal('SIGKILL')
    await Promise.resolve()
  },
  async 'the server is stopped for a while'({ server, random, leaseMs }) {
    server.kill('SIGSTOP')
    await sleep(leaseMs * (0.5 + random()))
    server.kill('SIGCONT')
  },
  async 'a worker is stopped for longer than its lease'({ workers, random, leaseMs }) {
    const worker = workers[Math.floor(random() * workers.length)]!
    worker.signal('SIGSTOP')
    await sleep(leaseMs * (1 + random()))
    worker.signal('SIGCONT')
  },
  async 'both workers and the server are killed'({ server, workers }) {
    for (const worker of workers) worker.signal('SIGKILL')
    server.kill('SIGKILL')
    await server.restart()
  },
} as const satisfies Readonly<Record<string, Harm>>

export interface SoakOptions {
  readonly server: Server
  readonly place: Place
  /** For the client. */
  readonly transport: Transport
  readonly rounds: number
  readonly leaseMs: number
  readonly seed: number
  /** Default: all. */
  readonly only?: readonly (keyof typeof harms)[]
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
 * Two workers in processes of their own, ten pipelines a round, and one harm in the middle of each; what the event log tells of them is held against what happened. For a test
 * of vitest.
 * Answers how many pipelines have ended.
 */
export async function soak({ server, place, transport, rounds, leaseMs, seed, only }: SoakOptions): Promise<number> {
  console.log(`TASKS_SEED=${seed}`)
  const { random } = virtualClock({ seed })
  // The owner that was asked for a result may be killed: ask again soon.
  const client = createClient({ namespace: NAMESPACE, transport, answerMs: 300 })
  onTestFinished(async () => {
    await client.close()
    await transport.close()
  })
  // The one hands over in memory, the other goes through the queue, so that both ways are cut.
  const options = { leaseMs, concurrency: 5, partitions: 4, events: 'tasks', durableWorkerEvents: true } as const
  const workers = await Promise.all([supervise(place, options), supervise(place, { ...options, localLane: false })])
  let told = 'beginning'
  const names = only ?? (Object.keys(harms) as (keyof typeof harms)[])
  for (let round = 0; round < rounds; round++) {
    const wanted = Array.from({ length: PIPELINES }, (_, index) => ({
      id: `${round}.${index}`,
      work: workOf(Math.floor(random() * 100), 1 + Math.floor(random() * 20)),
    }))
    // A submit while the server is away may be refused; then it is not accepted, and tried again.
    const accepted = wanted.map(async ({ id, work }) => {
      await sleep(random() * 200)
      return { work, run: await answered(() => client.submit(work.pipeline, { id })) }
    })
    await sleep(random() * 250)
    const name = round < names.length ? names[round]! : names[Math.floor(random() * names.length)]!
    await harms[name]({ server, workers, random, leaseMs })
    const tasks = new Map<string, number>()
    for (const { work, run } of await Promise.all(accepted)) {
      const outcome: unknown = await run.result({ timeoutMs: PATIENCE_MS }).catch((error: unknown) => error)
      expect(outcome, `round ${round} (${name}), pipeline ${run.id}`).toBe(work.expected)
      expect(await answered(() => run.status())).toMatchObject({
        status: 'COMPLETED',
        done: work.tasks,
        tasks: work.tasks,
      })
      tasks.set(run.id, work.tasks)
    }
    told = await answered(() => checkTold(client, told, tasks))
  }
  const { pipelines: ended } = await answered(() => client.list({ limit: 10_000 }))
  expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['COMPLETED']))
  expect(await client.deadLetters.list()).toEqual([])
  expect(workers.map(({ deaths }) => deaths)).toEqual([0, 0])
  return ended.length
}
