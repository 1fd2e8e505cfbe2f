// A process that does not know that its leases have run out: stopped and continued, or with a task that keeps its event loop to itself.
import { inParallel, type Client, type PipelineHandle } from '@tasks/core'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { chooseDriver, type Database } from '../src/driver'
import { clientOf } from './support/client'
import { newPath } from './support/folder'
import { recipeOf } from './support/recipes'
import { add, block, echo, sum, wait } from './support/tasks'
import { startWorkerProcess, type WorkerProcess } from './support/worker-process'

const LEASE_MS = 600
// More than are done before a process is met inside a transaction.
const MANY = 5_000
const PATIENCE_MS = 60_000
const waiting = { timeoutMs: PATIENCE_MS }
const until = { timeout: PATIENCE_MS, interval: 20 }

const lanes = [
  ['handed over by their owner', true],
  ['taken from the queue', false],
] as const

interface Submitted {
  readonly run: PipelineHandle<number>
  readonly expected: number
  readonly tasks: number
}

/** Random pipelines, and one whose tasks take a while. */
async function submitSome(client: Client, name: string, seeds: readonly number[]): Promise<Submitted[]> {
  const random = seeds.map(async (seed): Promise<Submitted> => {
    const { pipeline, expected, tasks } = recipeOf(seed)
    return { run: await client.submit(pipeline, { id: `${name}.${seed}` }), expected, tasks }
  })
  const slow = inParallel(Array.from({ length: 12 }, (_, value) => wait.send(value, 100).continueWith(add, 1, 1)))
  const run = await client.submit(slow.continueWith(sum), { id: `${name}.slow` })
  return [...(await Promise.all(random)), { run, expected: 78, tasks: 25 }]
}

/** Each has come to the one right result, and has counted each of its tasks once. */
async function expectRight(all: readonly Submitted[]): Promise<void> {
  for (const { run, expected, tasks } of all) {
    expect([run.id, await run.result(waiting)]).toEqual([run.id, expected])
    expect(await run.status()).toMatchObject({ status: 'COMPLETED', done: tasks, tasks })
  }
}

/**
 * SIGSTOP, in the middle of a transaction or not. In one it holds the file's write lock, and everybody else waits for as long as it sleeps.
 */
async function stop(worker: WorkerProcess, path: string, inTransaction = false): Promise<void> {
  const db = chooseDriver().open(path)
  try {
    db.exec('PRAGMA busy_timeout = 0')
    for (;;) {
      worker.kill('SIGSTOP')
      // The signal has to arrive first.
      await sleep(5)
      if (isLocked(db) === inTransaction) return
      worker.kill('SIGCONT')
      await sleep(7)
    }
  } finally {
    db.close()
  }
}

function isLocked(db: Database): boolean {
  try {
    db.exec('BEGIN IMMEDIATE; ROLLBACK')
    return false
  } catch {
    return true
  }
}

function expectSound(path: string): void {
  const db = chooseDriver().open(path)
  try {
    expect(db.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
  } finally {
    db.close()
  }
}

test.each(lanes)(
  'a worker that is stopped beyond its leases harms nothing when it goes on, and works again; tasks %s',
  async (_, localLane) => {
    const path = newPath()
    const client = clientOf(path)
    const options = { leaseMs: LEASE_MS, concurrency: 5, localLane }
    const sleeper = await startWorkerProcess(path, options)
    const before = await submitSome(client, 'before', [1, 7_777, 31_337])
    await expect.poll(() => sleeper.lines.length, until).toBeGreaterThan(3)
    await stop(sleeper, path)
    const other = await startWorkerProcess(path, options)
    // What it had is somebody else's, as soon as its leases have run out.
    await expectRight(before)
    const meanwhile = await submitSome(client, 'meanwhile', [2, 4_242])
    await expectRight(meanwhile)
    expect(other.lines.length).toBeGreaterThan(0)

    const said = sleeper.lines.length
    sleeper.kill('SIGCONT')
    // It has its share again.
    let round = 0
    const after: Submitted[] = []
    await expect
      .poll(async () => {
        after.push(...(await submitSome(client, `after${round++}`, [3, 5_555])))
        await expectRight(after)
        return sleeper.lines.length
      }, until)
      .toBeGreaterThan(said)
    // Its late outcomes have come and changed nothing.
    await expectRight([...before, ...meanwhile, ...after])
    expect(await client.deadLetters.list()).toEqual([])
    expectSound(path)
  },
  3 * PATIENCE_MS,
)

test.each(lanes)(
  'alone, it finishes what it had when it goes on; tasks %s',
  async (_, localLane) => {
    const path = newPath()
    const client = clientOf(path)
    const sleeper = await startWorkerProcess(path, { leaseMs: LEASE_MS, concurrency: 5, localLane })
    const all = await submitSome(client, 'p', [11, 9_999])
    await expect.poll(() => sleeper.lines.length, until).toBeGreaterThan(3)
    await stop(sleeper, path)
    await sleep(3 * LEASE_MS)
    sleeper.kill('SIGCONT')
    await expectRight(all)
    expect(await client.deadLetters.list()).toEqual([])
    expectSound(path)
  },
  2 * PATIENCE_MS,
)

test.each(lanes)(
  'stopped inside a transaction it holds the others up until it is killed; they lose nothing; tasks %s',
  async (_, localLane) => {
    const path = newPath()
    const client = clientOf(path)
    const options = { leaseMs: LEASE_MS, concurrency: 5, localLane }
    const victim = await startWorkerProcess(path, options)
    const many = inParallel(Array.from({ length: MANY }, (__, value) => echo.send(value))).continueWith(sum)
    const run = await client.submit(many, { id: 'many' })
    await expect.poll(async () => (await run.status()).done, until).toBeGreaterThan(100)
    await stop(victim, path, true)
    let isTaken = false
    const meanwhile = submitSome(client, 'meanwhile', [2, 4_242])
    void meanwhile.finally(() => (isTaken = true)).catch(() => {})
    await sleep(3 * LEASE_MS)
    expect(isTaken).toBe(false)
    victim.kill('SIGKILL')
    await startWorkerProcess(path, options)
    await expectRight([{ run, expected: (MANY * (MANY - 1)) / 2, tasks: MANY + 1 }, ...(await meanwhile)])
    expect(await client.deadLetters.list()).toEqual([])
    expectSound(path)
  },
  2 * PATIENCE_MS,
)

test.each(lanes)(
  'what it brings of a run that was started anew meanwhile is ignored; tasks %s',
  async (_, localLane) => {
    const path = newPath()
    const client = clientOf(path)
    const options = { leaseMs: LEASE_MS, localLane }
    const sleeper = await startWorkerProcess(path, options)
    const old = await client.submit(wait.send(1, 50).continueWith(wait, 50), { id: 'one' })
    await expect.poll(() => sleeper.lines.length, until).toBe(1)
    await stop(sleeper, path)
    const cancelled = old.result(waiting).catch((error: unknown) => error)
    const restarted = client.submit(wait.send(2, 500).continueWith(add, 40, 1), { id: 'one', onDuplicate: 'restart' })
    await startWorkerProcess(path, options)
    const fresh = await restarted
    await expect.poll(async () => (await fresh.status()).status, until).toBe('RUNNING')
    sleeper.kill('SIGCONT')
    expect(await fresh.result(waiting)).toBe(42)
    expect(await cancelled).toMatchObject({ code: 'TASKS_CANCELLED' })
    // Whatever is still on its way has come when both processes have answered for something newer.
    await expectRight(await submitSome(client, 'later', [5, 8_888]))
    expect(await client.attach('one').result(waiting)).toBe(42)
    expect(await client.attach('one').status()).toMatchObject({ status: 'COMPLETED', done: 2, tasks: 2 })
  },
  2 * PATIENCE_MS,
)

test.each([
  ['handed over by its owner, alone', true, 1],
  ['handed over by its owner, beside another', true, 2],
  ['taken from the queue, alone', false, 1],
  ['taken from the queue, beside another', false, 2],
] as const)(
  'a task that blocks its process beyond the lease ends well and counts once; %s',
  async (_, localLane, count) => {
    const path = newPath()
    const client = clientOf(path)
    const options = { leaseMs: LEASE_MS, concurrency: 5, localLane }
    const workers = await Promise.all(Array.from({ length: count }, () => startWorkerProcess(path, options)))
    const beside = await submitSome(client, 'beside', [13, 6_006])
    const blocking = inParallel([
      block.send(1, 3 * LEASE_MS).continueWith(add, 10, 1),
      ...Array.from({ length: 20 }, (__, value) => echo.send(value)),
    ]).continueWith(sum)
    const run = await client.submit(blocking, { id: 'blocking' })
    await expectRight([...beside, { run, expected: 201, tasks: 23 }])
    const starts = workers.flatMap(({ lines }) => lines).filter((line) => line.startsWith('block '))
    expect(starts.length).toBeGreaterThan(0)
    // Those who blocked are back, and what they bring is ignored.
    await expectRight(await submitSome(client, 'after', [17, 6_060]))
    expect(await run.status()).toMatchObject({ status: 'COMPLETED', done: 23, tasks: 23 })
    expect(await client.attach('blocking').result(waiting)).toBe(201)
    expect(await client.deadLetters.list()).toEqual([])
    expectSound(path)
  },
  2 * PATIENCE_MS,
)
