// What no commit can take does not stop a partition, nor keep anybody waiting: what it was for fails.
import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import { eventAddress } from '../../src/engine/event-address'
import { BoxKeys } from '../../src/engine/row-keys'
import type { TaskError } from '../../src/errors'
import { partitionOf } from '../../src/ids'
import { fanOut, inParallel, sleep } from '../../src/pipeline'
import { waitForEvent } from '../../src/wait-for-event'
import { Kind } from '../../src/value'
import { encodeInbox } from '../../src/wire/inbox-message'
import { eventually, NAMESPACE, PATIENCE_MS, system, type System } from '../support/system'
import { ReducerWorld, submitOf } from './reducer-world'

const waiting = { timeoutMs: PATIENCE_MS }
/** Each thousand of its chains has a row of its own. */
const MANY = 70_000
const GO = new BoxKeys(eventAddress(undefined, 'go'))
const SMALL = { transport: { maxCommitItems: 48 } }

/** An id in the partition of this address, and one in another. */
function besideAndAway(address: string): readonly [string, string] {
  const ids = Array.from({ length: 40 }, (_, i) => `waiter ${i}`)
  const isBeside = (id: string): boolean => partitionOf(id, 4) === partitionOf(address, 4)
  return [ids.find(isBeside)!, ids.find((id) => !isBeside(id))!]
}

/** As a store that was damaged: the next owner finds no definition. */
async function losePages({ store, rows }: System): Promise<void> {
  for (const key of (await rows('P')).filter((row) => /:d/.test(row)))
    for (const partition of store.namespaces.get(NAMESPACE)!.partitions) partition.rows.write(new Map([[key, null]]))
}

test('a delayed start that does not fit into a commit fails its pipeline, and others go on', async () => {
  const { tasks, worker, client } = system(SMALL)
  const step = tasks.bind('step', (value: number) => value)
  await worker()
  const submitter = client()
  const large = inParallel(Array.from({ length: MANY }, () => step.send(1)))
  const run = await submitter.submit(large, { delayMs: 2_000 })
  await expect(run.result(waiting)).rejects.toMatchObject({ code: 'TASKS_TOO_LARGE' })
  expect(await run.status()).toMatchObject({ status: 'FAILED' })
  expect(await (await submitter.submit(step.send(2))).result(waiting)).toBe(2)
}, 60_000)

test('what follows a sleep, or a group, and does not fit is a failure that can be handled; the finally runs', async () => {
  const { tasks, worker, client } = system(SMALL)
  const ran: string[] = []
  const step = tasks.bind('step', (value: number) => value)
  const handle = tasks.bind('handle', (error: Error) => error.name)
  const end = tasks.bind('end', () => void ran.push('end'))
  await worker()
  const submitter = client()
  const large = inParallel(Array.from({ length: MANY }, () => step.send(1)))
  const after = [sleep(10).continueWith(large), inParallel([step.send(1)]).continueWith(large)]
  for (const pipeline of after) {
    const run = await submitter.submit(pipeline.exceptionally(handle).finallyDo(end))
    expect(await run.result(waiting)).toBe('TaskError')
    await expect((await submitter.submit(pipeline)).result(waiting)).rejects.toMatchObject({ code: 'TASKS_TOO_LARGE' })
  }
  expect(ran).toEqual(['end', 'end'])
}, 60_000)

test('a chain of a group that does not fit fails alone', async () => {
  const { tasks, worker, client } = system(SMALL)
  const step = tasks.bind('step', (value: number) => value)
  await worker()
  const large = inParallel(Array.from({ length: MANY }, () => step.send(1)))
  const run = await client().submit(inParallel([step.send(1), large, step.send(3)], { returnExceptions: true }))
  expect(await run.result(waiting)).toMatchObject([1, { code: 'TASKS_TOO_LARGE' }, 3])
}, 60_000)

test.each([false, true])(
  'who cannot go on with an event fails, and it is for others (for one: %s)',
  async (forOne) => {
    const { tasks, worker, client, rows } = system(SMALL)
    const step = tasks.bind('step', (value: number) => value)
    const handle = tasks.bind('handle', (error: TaskError) => error.code)
    await worker()
    const submitter = client()
    const large = inParallel(Array.from({ length: MANY }, () => step.send(1)))
    const go = waitForEvent<number>({ key: 'go' })
    const [here, elsewhere] = besideAndAway(GO.address)
    const waiters = (): Promise<number> => rows(GO.waiters()).then((keys) => keys.length)
    const [first, second] = await Promise.all(
      [here, elsewhere].map((id) => submitter.submit(go.continueWith(large), { id })),
    )
    await eventually(async () => expect(await waiters()).toBe(2))
    await submitter.sendEvent({ key: 'go', value: 7, ...(forOne && { wakes: 'one' }) })
    for (const run of [first, second])
      await expect(run!.result(waiting)).rejects.toMatchObject({ code: 'TASKS_TOO_LARGE' })
    // It is kept by now: whoever comes is the first who is looked for.
    const third = await submitter.submit(go.continueWith(large).exceptionally(handle))
    expect(await third.result(waiting)).toBe('TASKS_TOO_LARGE')
    const last = await submitter.submit(go)
    expect(await last.result(waiting)).toBe(7)
    await eventually(async () => expect((await rows(GO.events())).concat(await rows('X/'))).toEqual([]))
  },
  60_000,
)

test('a definition that is gone fails its run, and a command to it is told why', async () => {
  const place = system()
  const { tasks, worker, client } = place
  const held: (() => void)[] = []
  const hold = tasks.bind('hold', () => new Promise<void>((resolve) => held.push(resolve)))
  const fail = tasks.bind('fail', () => {
    throw new Error('no')
  })
  const list = tasks.bind('list', () => [1])
  const first = await worker({ concurrency: 10 })
  const submitter = client()
  const pipelines = {
    chain: hold.send().continueWith(hold.send()),
    asleep: sleep(3_000).continueWith(hold.send()),
    group: inParallel([hold.send(), hold.send()], { maxParallelism: 1 }),
    ...Object.fromEntries(
      besideAndAway(GO.address).map((id) => [id, waitForEvent({ key: 'go' }).continueWith(hold.send())]),
    ),
  }
  const runs = await Promise.all(
    Object.entries(pipelines).map(([id, pipeline]) => submitter.submit(pipeline as never, { id })),
  )
  const failed = await submitter.submit(fail.send())
  const inGroup = await submitter.submit(list.send().continueWith(fanOut(fail.send())))
  for (const run of [failed, inGroup]) await expect(run.result(waiting)).rejects.toThrow(/no/)
  await eventually(() => expect(first.running).toBe(2))
  await first.close({ drainMs: 0 })
  await eventually(async () => expect(await place.rows(GO.waiters())).toHaveLength(2))
  await losePages(place)
  await worker({ concurrency: 10, leaseMs: 300 })
  await submitter.sendEvent({ key: 'go' })
  const finish = setInterval(() => held.forEach((go) => go()), 20)
  try {
    for (const run of runs) await expect(run.result(waiting)).rejects.toMatchObject({ code: 'TASKS_STORE_CORRUPT' })
    await expect(failed.retry()).rejects.toMatchObject({ code: 'TASKS_STORE_CORRUPT' })
    const again = await inGroup.retry()
    await expect(again.result(waiting)).rejects.toMatchObject({ code: 'TASKS_STORE_CORRUPT' })
    // Nobody could take it.
    await (await submitter.submit(waitForEvent({ key: 'go' }))).result(waiting)
  } finally {
    clearInterval(finish)
  }
}, 90_000)

test('a state that cannot be read fails the entry that it came from, and its group is joined', async () => {
  const { tasks, worker, client, connect } = system()
  const runs: string[] = []
  const hold = tasks.bind('hold', () => {
    runs.push(taskContext().run)
    return new Promise<void>(() => undefined)
  })
  const step = tasks.bind('step', (value: number) => value)
  await worker()
  const pipeline = inParallel([hold.send(), step.send(1)], { returnExceptions: true })
  const run = await client().submit(pipeline, { id: 'p' })
  await eventually(() => expect(runs.length).toBe(1))
  const space = await connect().open({ namespace: NAMESPACE })
  const outcome = {
    id: 'p',
    run: runs[0]!,
    path: '/0.0/0',
    attempt: 1,
    value: { kind: Kind.one, bytes: Buffer.from('1') },
  }
  for (const state of ['nonsense', '[7]\n', '[["key",99]]\n'].map((text) => Buffer.from(text)))
    await space.send([
      {
        target: { to: 'inbox', partition: partitionOf('p', space.partitions) },
        id: state.toString(),
        body: encodeInbox({ type: 'outcomes', outcomes: [{ ...outcome, state }] }),
      },
    ])
  expect(await run.result(waiting)).toMatchObject([{ code: 'TASKS_DEAD_LETTERED' }, 1])
})

test('a command that was refused is refused when it comes again, whatever has happened since', () => {
  const world = new ReducerWorld()
  const tasks = system().tasks
  world.fold([submitOf('p', 'run', tasks.bind('step', () => 1).send())])
  const first = world.give('retry', 'p', 'one').answers
  world.fails('/0')
  expect(world.give('retry', 'p', 'one').answers).toEqual(first)
  expect(world.pipelineRow().status).toBe('FAILED')
  expect(first[0]!.answer).toMatchObject({ refused: { code: 'TASKS_STATUS' } })
  expect(world.give('retry', 'p', 'two').answers[0]!.answer).toMatchObject({ status: 'RUNNING' })
  expect(world.give('retry', 'p', 'two').answers[0]!.answer).toMatchObject({ status: 'RUNNING' })
})

test('a retry that is given again is answered with the run that it began, whatever run there is since', () => {
  const world = new ReducerWorld()
  const step = system().tasks.bind('step', () => 1)
  world.fold([submitOf('p', 'run', step.send())])
  world.fails('/0')
  const first = world.give('retry', 'p', 'one').answers
  const { run } = first[0]!.answer as { run: string }
  expect(run).not.toBe('run')
  world.fails('/0')
  world.fold([submitOf('p', 'later', step.send(), { onDuplicate: 'restart' })])
  expect(world.pipelineRow().run).toBe('later')
  expect(world.give('retry', 'p', 'one').answers[0]!.answer).toMatchObject({ run })
})
