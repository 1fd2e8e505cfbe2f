// Random pipelines while everything goes wrong now and then: each comes to what it must, once, and leaves nothing behind. A round is decided
// by its seed, time included: TASKS_SEED=<seed> of one that failed plays it again.
import {
  actOf,
  failedOf,
  generateProgram,
  interpret,
  plainOf,
  taskNameOf,
  type Given,
  type Outcome,
  type Program,
  type TaskUnit,
  type Unit,
} from '@tasks/oracle'
import { expect, test } from 'vitest'
import type { Client } from '../../src/client/client'
import type { SubmitOptions } from '../../src/client/options'
import { taskContext } from '../../src/context'
import { NonRetryableError, RetryAfterError, TaskError } from '../../src/errors'
import { inParallel, type Pipeline, type Task } from '../../src/pipeline'
import { spread } from '../../src/spread'
import type { Tasks } from '../../src/tasks'
import { virtualClock } from '../../src/testing/virtual-clock'
import { randomFaults } from '../support/random-faults'
import { system, type RunningWorker } from '../support/system'

const FOR_MS = process.env['TASKS_TIER'] === 'all' ? 180_000 : 6_000
const SEED = process.env['TASKS_SEED']
const PIPELINES = 8
const LEASE_MS = 1_000
const DAY_MS = 24 * 3_600_000
/** Of virtual time: what has not ended then is stuck. */
const PATIENCE_MS = 3_600_000

type Closed = Pipeline<unknown, void>
type Work = Task<unknown[], unknown>

/** The tasks of programs, and the pipelines that programs are. */
function workshop(tasks: Tasks, pause: (ms: number) => Promise<void>, onStart: (id: string, label: string) => void) {
  const work = async (...args: unknown[]): Promise<unknown> => {
    const { attempt, rootId } = taskContext()
    const unit = args.pop() as TaskUnit
    if (!unit.label.startsWith('old')) onStart(rootId, unit.label)
    if (unit.ms > 0) await pause(unit.ms)
    const act = actOf(unit, { inputs: args.map(plainOf), attempt, run: 1, state: {} })
    if (act.does === 'returns') return pipelineOf(act.program)
    if (act.does === 'gives') return valueOf(act.given)
    if (act.how === 'throws for good') throw new NonRetryableError(act.message)
    if (act.how === 'asks for time') throw new RetryAfterError(act.message, 20)
    if (act.how === 'hangs') await new Promise(() => undefined)
    throw new Error(act.message)
  }
  const plain = tasks.bind(taskNameOf({ policy: 'used' }), work) as Work
  const bound = [0, 1, 2, 3].map((retries) => {
    const name = taskNameOf({ policy: 'bound', retries })
    return tasks.bind(name, work, { retry: { maxRetries: retries, delayMs: 10 } }) as Work
  })
  const unitOf = (unit: Unit): Closed => {
    if (unit.kind === 'group') {
      const { chains, returnExceptions, maxParallelism } = unit
      return inParallel(chains.map(pipelineOf), {
        returnExceptions,
        ...(maxParallelism === undefined ? {} : { maxParallelism }),
      }) as Closed
    }
    // The simulation has every kind; here are those that take time and leases.
    if (unit.kind !== 'task') throw new Error(`there is no ${unit.kind} here`)
    const { policy, retries, priority, how, open } = unit
    const task = policy === 'bound' && retries !== undefined ? bound[retries]! : plain
    return ((open ? task.after(unit) : task.send(unit)) as Closed).set({
      ...(policy === 'used' && retries !== undefined ? { retry: { maxRetries: retries, delayMs: 10 } } : {}),
      ...(priority === undefined ? {} : { priority }),
      ...(how === 'hangs' ? { timeoutMs: 4 * LEASE_MS } : {}),
    })
  }
  const pipelineOf = (program: Program): Closed =>
    program.map(unitOf).reduce((before, next) => before.continueWith(next as Pipeline))
  return pipelineOf
}

function valueOf(given: Given): unknown {
  return given.kind === 'nothing' ? undefined : given.kind === 'one' ? given.value : spread(...given.values)
}

/** What is asked for again: nobody knows, a message that was accepted is still on its way, or the run that was meant is not the last. */
const AGAIN = new Set(['TASKS_UNAVAILABLE', 'TASKS_NOT_FOUND', 'TASKS_CANCELLED'])

async function play(seed: number): Promise<void> {
  const clock = virtualClock({ seed })
  const { random } = clock
  let calm = false
  const faults = randomFaults(random, random() * 0.06, () => calm)
  const limits = { maxMessageBytes: random() < 0.5 ? 65_536 : 1 << 20 }
  const place = system({ clock, transport: { ...limits, faults } })
  const starts = new Map<string, Set<string>>()
  const pause = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
  const pipelineOf = workshop(place.tasks, pause, (id, label) =>
    starts.set(id, (starts.get(id) ?? new Set()).add(label)),
  )
  const insist = async <T>(ask: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        if (!TaskError.is(error) || !AGAIN.has(error.code)) throw error
        await pause(100)
      }
    }
  }
  const comes = async (client: Client, id: string): Promise<Outcome> => {
    try {
      return { result: plainOf(await insist(() => client.attach(id).result())) }
    } catch (error) {
      return { failure: failedOf(error as TaskError) }
    }
  }

  const started: RunningWorker[] = []
  const start = (localLane: boolean, leaseMs = LEASE_MS): Promise<RunningWorker> =>
    insist(async () => {
      const concurrency = 1 + Math.floor(random() * 10)
      // What dies and is lost here is not the tasks' fault.
      const worker = await place.worker({ localLane, leaseMs, concurrency, maxDeliveries: 10_000 })
      started.push(worker)
      return worker
    })
  for (const localLane of [true, false, true]) await start(localLane)
  const crashOne = (): void => {
    if (calm) return
    started.at(-1 - Math.floor(random() * 3))!.transport.crash()
    void start(random() < 0.5)
    clock.after(random() * 20 * LEASE_MS, crashOne)
  }
  if (random() < 0.5) clock.after(random() * 5 * LEASE_MS, crashOne)

  const [here, there] = [place.client(), place.client()]
  const newProgram = (prefix: string): Program =>
    generateProgram((n) => Math.floor(random() * n), {
      prefix,
      // Some at once, most of them soon, a few after their leases.
      durations: [0, 0, 5, 20, 2.5 * LEASE_MS],
      failings: ['throws', 'throws for good', 'asks for time', 'hangs'],
    })
  const all = Array.from({ length: PIPELINES }, () => newProgram('t'))
  const run = async (program: Program, index: number): Promise<Outcome> => {
    const id = `p${index}`
    const options: SubmitOptions = index % 4 === 3 ? { id, delayMs: 100 * index } : { id }
    if (index % 4 === 1) {
      const old = pipelineOf(newProgram('old'))
      await insist(() => here.submit(old, { id }))
      await pause(random() * 500)
      await insist(() => here.submit(pipelineOf(program), { id, onDuplicate: 'restart' }))
      return comes(there, id)
    }
    await insist(() => here.submit(pipelineOf(program), options))
    if (index % 2 === 0) await insist(() => there.submit(pipelineOf(program), options))
    return comes(index % 3 === 0 ? here : there, id)
  }
  const drive = async <T>(work: Promise<T>): Promise<T> => {
    let settled = false
    const done = work.finally(() => (settled = true))
    done.catch(() => undefined)
    const until = clock.now() + PATIENCE_MS
    while (!settled && clock.now() < until) await clock.advanceToNext(until)
    if (settled) return done
    throw new Error(
      `stuck: ${JSON.stringify(await Promise.all(['M/', 'P', 'W/', 'X/'].map((kind) => place.rows(kind))))}`,
    )
  }
  const outcomes = await drive(Promise.all(all.map(run)))
  calm = true
  // What goes on is long work and what was late. Nothing of it changes an outcome.
  await clock.advance(20 * LEASE_MS)
  // A run that failed keeps what it would need to be tried again.
  const ofFailed = outcomes.flatMap((outcome, index) => ('failure' in outcome ? [`Pp${index}/`] : []))
  const left = [...(await place.rows('P')), ...(await place.rows('X/'))]
  expect(left.filter((key) => !ofFailed.some((prefix) => key.startsWith(prefix)))).toEqual([])
  for (const [index, { outcome, runs, tasks, done, attempts }] of all.map((program) => interpret(program)).entries()) {
    const id = `p${index}`
    const status = 'result' in outcome ? 'COMPLETED' : 'FAILED'
    expect([id, outcomes[index]]).toEqual([id, outcome])
    expect([id, starts.get(id) ?? new Set()]).toEqual([id, new Set(runs.keys())])
    expect(await here.status(id)).toMatchObject({ status, tasks, done, attempts })
  }
  expect(await drive(Promise.all(all.map((_, index) => comes(there, `p${index}`))))).toEqual(outcomes)
  expect(await here.deadLetters.list()).toEqual([])
  await drive(Promise.all(started.map((worker) => worker.close())))

  // All of it is forgotten in time, of which there is more when nobody has to say that it is alive. What nothing else deletes is swept when it is
  // a day old, and sweeps are a day and a half apart at most.
  const last = await drive(start(true, 10 * DAY_MS))
  await clock.advance(3 * DAY_MS)
  expect([...(await place.rows('')), ...(await place.blobs())].filter((key) => !key.startsWith('T/'))).toEqual([])
  await drive(Promise.all([last.close(), here.close(), there.close()]))
}

test(
  'whatever goes wrong, every pipeline comes to what it must, runs each task, and leaves nothing behind',
  async () => {
    const first = Number(SEED ?? Date.now() % 1_000_000_000)
    const until = performance.now() + (SEED === undefined ? FOR_MS : 0)
    let rounds = 0
    do {
      const seed = first + rounds++
      await play(seed).catch((cause: unknown) => {
        throw new Error(`TASKS_SEED=${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      })
    } while (performance.now() < until)
    expect(rounds).toBeGreaterThan(0)
    console.log(`${rounds} rounds of ${PIPELINES} pipelines, from TASKS_SEED=${first}`)
  },
  10 * FOR_MS + 60_000,
)
