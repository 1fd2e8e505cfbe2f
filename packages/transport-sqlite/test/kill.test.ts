import { createClient } from '@tasks/core'
import { virtualClock } from '@tasks/core/testing'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { sqliteTransport } from '../src/index'
import { newPath } from './support/folder'
import { recipeOf } from './support/recipes'
import { NAMESPACE } from './support/tasks'
import { FROM_SOURCE, supervise } from './support/worker-process'

const ROUNDS = process.env['TASKS_TIER'] === 'all' ? 50 : 6
const SEED = Number(process.env['TASKS_SEED'] ?? Date.now() % 1_000_000)
const PIPELINES = 10
const PATIENCE_MS = 60_000

const SUBMITTER = fileURLToPath(new URL('./programs/submitter.ts', import.meta.url))

/** A process that submits; another one takes its place when it has been killed. */
async function startSubmitter(path: string, onAccepted: (id: string) => void): Promise<ChildProcess> {
  const child = fork(SUBMITTER, [path], { execArgv: FROM_SOURCE })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'message')
  child.on('message', onAccepted)
  return child
}

test(
  `pipelines lose nothing by kill -9 of the processes that submit, own and run them, in ${ROUNDS} rounds`,
  async () => {
    console.log(`TASKS_SEED=${SEED}`)
    const { random } = virtualClock({ seed: SEED })
    const path = newPath()
    const transport = sqliteTransport({ path })
    // The owner that was asked for a result may be killed: ask again soon.
    const client = createClient({ namespace: NAMESPACE, transport, answerMs: 300 })
    onTestFinished(async () => {
      await client.close()
      await transport.close()
    })
    // The one hands over in memory, the other goes through the queue, so that both ways are cut.
    const workers = await Promise.all([
      supervise(path, { leaseMs: 1_000, concurrency: 5 }),
      supervise(path, { leaseMs: 1_000, concurrency: 5, localLane: false }),
    ])
    const accepted = new Map<string, number>()
    let kills = 0
    let submitter: ChildProcess | undefined

    for (let round = 0; round < ROUNDS; round++) {
      const seeds = Array.from({ length: PIPELINES }, () => Math.floor(random() * 100_000))
      const wanted = seeds.map((seed, index) => [`${round}.${index}`, seed] as const)
      const seedOf = new Map<string, number>(wanted)
      const ofRound: string[] = []
      const onAccepted = (id: string): void => {
        accepted.set(id, seedOf.get(id) ?? accepted.get(id)!)
        ofRound.push(id)
      }
      submitter = await startSubmitter(path, onAccepted)
      const gone = once(submitter, 'exit')
      submitter.send(wanted)

      await sleep(random() * 250)
      const victims = [...workers, ...workers].slice(Math.floor(random() * 2)).slice(0, 1 + Math.floor(random() * 2))
      for (const victim of victims) {
        victim.kill()
        kills++
        await sleep(random() * 100)
      }
      // Now and then it dies among its submits.
      while (ofRound.length < PIPELINES && round % 3 !== 2) await sleep(5)
      submitter.kill('SIGKILL')
      await gone

      for (const id of ofRound) {
        const seed = accepted.get(id)!
        const recipe = recipeOf(seed)
        const run = client.attach<number>(id)
        const outcome: unknown = await run.result({ timeoutMs: PATIENCE_MS }).catch((error: unknown) => error)
        expect(outcome, `round ${round}, pipeline ${id} of seed ${seed}`).toBe(recipe.expected)
        expect(await run.status()).toMatchObject({ status: 'COMPLETED', done: recipe.tasks, tasks: recipe.tasks })
      }
    }

    // Nothing changes afterwards, nothing is left over, and what was not heard of as accepted has ended, too.
    await expect
      .poll(async () => (await client.list({ status: 'RUNNING' })).pipelines.length, {
        timeout: PATIENCE_MS,
        interval: 50,
      })
      .toBe(0)
    const { pipelines: ended } = await client.list({ limit: 10_000 })
    const ids = new Set(ended.map(({ id }) => id))
    expect(ids.size).toBe(ended.length)
    expect([...accepted.keys()].filter((id) => !ids.has(id))).toEqual([])
    expect(ended.filter(({ status }) => status !== 'COMPLETED')).toEqual([])
    for (const [id, seed] of accepted) expect(await client.attach(id).result()).toBe(recipeOf(seed).expected)
    expect(await client.deadLetters.list()).toEqual([])
    const space = await transport.open({ namespace: NAMESPACE })
    for (let partition = 0; partition < space.partitions; partition++) {
      expect(await space.reader!.scan(partition, 'P', undefined, 10)).toEqual([])
    }
    expect(workers.map(({ deaths }) => deaths)).toEqual([0, 0])
    console.log(`${accepted.size} pipelines were accepted and ended right; ${kills} workers were killed`)
  },
  ROUNDS * PATIENCE_MS,
)
