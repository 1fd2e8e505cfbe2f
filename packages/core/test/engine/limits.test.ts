import { expect, test } from 'vitest'
import type { TaskError } from '../../src/errors'
import { encodeRow } from '../../src/engine/row-codec'
import { TALLY } from '../../src/engine/row-keys'
import type { TallyRow } from '../../src/engine/rows'
import { MOST_LIVE } from '../../src/engine/submit'
import { MOST_TIMERS } from '../../src/engine/timer-limit'
import { inParallel, sleep } from '../../src/pipeline'
import { waitForEvent } from '../../src/wait-for-event'
import { NONE } from '../../src/value'
import type { SubmitOptions } from '../../src/wire/inbox-message'
import { decodeReply } from '../../src/wire/reply'
import { eventually, later, PATIENCE_MS, system } from '../support/system'
import { ReducerWorld, submitOf } from './reducer-world'

const waiting = { timeoutMs: PATIENCE_MS }
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

test('a group whose results are too large together fails with a typed error, and leaves no blob', async () => {
  const { tasks, worker, client, blobs } = system()
  const grow = tasks.bind('grow', (length: number) => 'x'.repeat(length))
  await worker({ concurrency: 20 })
  const run = await client().submit(inParallel(numbers(2_200).map(() => grow.send(31_000))))
  await expect(run.result(waiting)).rejects.toMatchObject({ code: 'TASKS_VALUE_TOO_LARGE' })
  expect(await run.status()).toMatchObject({ status: 'FAILED', done: 2_200 })
  expect(await blobs()).toEqual([])
}, 60_000)

test('results that are too large together are their values, if each is stored apart, until somebody wants all of them', async () => {
  const { tasks, worker, client } = system()
  const grow = tasks.bind('grow', (length: number) => 'x'.repeat(length))
  const count = tasks.bind('count', (texts: string[]) => texts.length)
  await worker()
  const group = inParallel(numbers(3).map(() => grow.send(25 << 20)))
  const run = await client().submit(group.continueWith(count))
  await expect(run.result(waiting)).rejects.toMatchObject({
    code: 'TASKS_VALUE_TOO_LARGE',
    task: { name: 'count', attempt: 1 },
  })
}, 60_000)

test('a group fails with as many of its causes as a message carries, and says how many there are', async () => {
  const { tasks, worker, client } = system({ transport: { maxMessageBytes: 65_536 } })
  const fail = tasks.bind('fail', (length: number): number => {
    throw new RangeError('x'.repeat(length))
  })
  await worker({ concurrency: 20 })
  const outer = inParallel([inParallel(numbers(150).map(() => fail.send(6_000))), fail.send(1)])
  const error = (await (await client().submit(outer)).result(waiting).catch((thrown: unknown) => thrown)) as TaskError
  expect([error.code, error.errorCount]).toEqual(['TASKS_GROUP_FAILED', 2])
  expect(error.errors!.map(({ index }) => index)).toEqual([0, 1])
  const [inner] = error.errors!
  expect([inner!.code, inner!.errorCount]).toEqual(['TASKS_GROUP_FAILED', 150])
  expect(inner!.errors!.length).toBeGreaterThan(1)
  expect(inner!.errors!.length).toBeLessThan(100)
  expect(inner!.errors!.map(({ index, task }) => [index, task?.attempt])).toEqual(
    inner!.errors!.map((_, at) => [at, 1]),
  )
}, 60_000)

test.each([true, false])(
  'a failure that is larger than a message keeps what tells most, localLane: %s',
  async (localLane) => {
    const { tasks, worker, client } = system({ transport: { maxMessageBytes: 65_536 } })
    const fail = tasks.bind('fail', (): number => {
      const causes = numbers(100).map((index) => new Error(`${index} ${'ü'.repeat(15_000)}`))
      throw new AggregateError(causes, 'all of them', { cause: new Error('x'.repeat(15_000)) })
    })
    const ok = tasks.bind('ok', () => 1)
    await worker({ localLane })
    const submitter = client()
    await expect((await submitter.submit(fail.send(), { id: 'p' })).result(waiting)).rejects.toMatchObject({
      name: 'AggregateError',
      message: 'all of them',
      errorCount: 100,
      task: { name: 'fail', id: 'p/0', attempt: 1 },
    })
    const alone = await submitter.enqueue(fail.send(), { reply: true })
    await expect(alone.result(waiting)).rejects.toMatchObject({ message: 'all of them' })
    // The worker settles on.
    expect(await (await submitter.submit(ok.send())).result(waiting)).toBe(1)
  },
)

test('a group is joined though one commit cannot delete all rows of its results', async () => {
  const { tasks, worker, client, rows } = system({ transport: { maxCommitItems: 64 } })
  const wait = tasks.bind('wait', async (value: number) => {
    // So that results come a few at a time, in rows of their own.
    await later(value % 7)
    return value
  })
  const sum = tasks.bind('sum', (values: number[]) => values.reduce((total, value) => total + value, 0))
  await worker({ concurrency: 4 })
  const run = await client().submit(inParallel(numbers(400).map((value) => wait.send(value))).continueWith(sum))
  expect(await run.result(waiting)).toBe(79_800)
  await eventually(async () => expect([...(await rows('P')), ...(await rows('X/'))]).toEqual([]))
})

test('what a dead process had in hand is sent again, though it does not fit into one commit', async () => {
  const { tasks, worker, client } = system({ transport: { maxCommitBytes: 1 << 20 } })
  let open = false
  const measure = tasks.bind('measure', async (text: string) => {
    while (!open) await later(10)
    return text.length
  })
  const first = await worker({ concurrency: 100, leaseMs: 300 })
  const run = await client().submit(inParallel(numbers(100).map(() => measure.send('x'.repeat(30_000)))))
  await eventually(() => expect(first.running).toBe(100))
  first.transport.crash()
  open = true
  await worker({ concurrency: 100, leaseMs: 300 })
  expect(await run.result(waiting)).toEqual(numbers(100).map(() => 30_000))
})

test('what a closing process has not started goes back, though it does not fit into one commit', async () => {
  const { tasks, worker, client } = system({ transport: { maxCommitBytes: 1 << 20 } })
  let open = false
  const measure = tasks.bind('measure', async (text: string) => {
    while (!open) await later(10)
    return text.length
  })
  const first = await worker({ concurrency: 50, leaseMs: 60_000 })
  const run = await client().submit(inParallel(numbers(300).map(() => measure.send('x'.repeat(30_000)))))
  await eventually(() => expect(first.running).toBe(50))
  open = true
  await first.close()
  await worker({ concurrency: 50, leaseMs: 60_000 })
  expect((await run.result(waiting)).length).toBe(300)
})

test('a partition that has a million pipelines going on refuses new ids, and nothing else', async () => {
  const world = new ReducerWorld()
  const step = system().tasks.bind('step', () => 1)
  world.fold([submitOf('old', 'run', step.send())])
  expect(world.row<TallyRow>(TALLY)).toEqual({ live: 1, timers: 0 })
  world.rows.set(TALLY, encodeRow(TALLY, { live: MOST_LIVE, timers: 0 }))
  const { sends } = world.fold([submitOf('new', 'run', step.send(), { replyTo: 'me' })])
  expect(sends.map(({ body }) => decodeReply(body))).toMatchObject([
    { type: 'refused', failure: { code: 'TASKS_FULL' } },
  ])
  expect(world.keys('M/')).toEqual(['M/old'])
  // A lone task has been accepted; an id that is there stays in its place.
  world.fold([submitOf('lone', 'run', step.send(), { lone: 1 })])
  world.fold([submitOf('old', 'another run', step.send(), { onDuplicate: 'restart' })])
  expect(world.keys('M/')).toEqual(['M/lone', 'M/old'])
  expect(world.row<TallyRow>(TALLY)).toEqual({ live: MOST_LIVE + 1, timers: 0 })
})

test('a partition in which as many entries wait for a time as may puts nothing more off, and says so', async () => {
  const world = new ReducerWorld()
  const { tasks } = system()
  const step = tasks.bind('step', () => 1)
  const flaky = tasks.bind('flaky', () => 1)
  const again = flaky.send().set({ retry: { maxRetries: 3, delayMs: 10 } })
  const mends = tasks.bind('mends', (_: unknown) => 1)
  const soon = { timeoutMs: 5 }
  const fill = (timers: number): void => {
    const { live } = world.rows.has(TALLY) ? world.row<TallyRow>(TALLY) : { live: 0 }
    world.rows.set(TALLY, encodeRow(TALLY, { live, timers }))
  }
  const runOf = (id: string, pipeline: object, options: SubmitOptions = {}): void => {
    world.fold([submitOf(id, `run of ${id}`, pipeline, options)])
  }
  fill(MOST_TIMERS - 1)
  runOf('waits', sleep(50).continueWith(step.send()))
  expect(world.row<TallyRow>(TALLY)).toEqual({ live: 1, timers: MOST_TIMERS })
  const outcomes: Record<string, unknown> = {}
  for (const [id, pipeline] of Object.entries({
    sleeps: sleep(50).continueWith(step.send()),
    listens: waitForEvent({ key: 'k' }, soon),
    mended: sleep(50).exceptionally(mends),
    'waits for ever': waitForEvent({ key: 'k' }),
    again,
  })) {
    runOf(id, pipeline)
    if (id === 'again') world.failsOnce('/0', id)
    const { status, outcome } = world.pipelineRow(id)
    outcomes[id] = status === 'FAILED' ? JSON.parse(Buffer.from(outcome.bytes).toString()) : status
  }
  expect(outcomes).toMatchObject({
    sleeps: { code: 'TASKS_FULL' },
    listens: { code: 'TASKS_FULL' },
    mended: 'RUNNING',
    'waits for ever': 'RUNNING',
    again: { code: 'TASKS_FULL', suppressed: [{ message: 'failed' }] },
  })
  expect(world.takeDispatched()).toContain('/1')
  world.fold([submitOf('later', 'a run', step.send(), { runAt: world.now + 5, replyTo: 'me' })])
  expect(decodeReply(world.sends.at(-1)!.body)).toMatchObject({ type: 'refused', failure: { code: 'TASKS_FULL' } })
  // There is room again when one has fired.
  world.fireTimer('dispatch')
  expect(world.row<TallyRow>(TALLY)).toMatchObject({ timers: MOST_TIMERS - 1 })
  runOf('sleeps again', sleep(50))
  expect(world.pipelineRow('sleeps again').status).toBe('RUNNING')
})

test('timers of entries are counted as they come and go', async () => {
  const world = new ReducerWorld()
  const { tasks } = system()
  const step = tasks.bind('step', () => 1)
  const timers = (): number => (world.rows.has(TALLY) ? world.row<TallyRow>(TALLY).timers : 0)
  world.fold([submitOf('p', 'run', inParallel([sleep(9), sleep(9), waitForEvent({ key: 'k' }, { timeoutMs: 9 })]))])
  await world.settle()
  expect(timers()).toBe(3)
  world.fold([{ type: 'event', key: 'k', eventId: 'e', value: NONE, keepMs: 1_000 }])
  await world.settle()
  expect(timers()).toBe(2)
  while (world.fireTimer('dispatch'));
  await world.settle()
  expect(world.pipelineRow().status).toBe('COMPLETED')
  world.fold([submitOf('later', 'run', step.send(), { runAt: world.now + 9 })])
  expect(timers()).toBe(1)
  while (world.fireTimer('dispatch'));
  world.returns('/0', 1)
  expect(world.keys('N/')).toEqual([])
})

test('a group has a million chains at most, whatever they are', async () => {
  const { client } = system()
  const chains = Array.from({ length: 1_000_001 }, () => sleep(1))
  await expect(client().submit(inParallel(chains) as never)).rejects.toMatchObject({
    code: 'TASKS_DEFINITION_TOO_LARGE',
  })
})

test('what goes on is counted, through failures and retries, and when nothing does there is no row', async () => {
  const { tasks, worker, client, rows } = system()
  let fails = true
  const flaky = tasks.bind('flaky', () => {
    if (fails) throw new Error('down')
  })
  await worker()
  const submitter = client()
  const runs = await Promise.all(numbers(20).map((index) => submitter.submit(flaky.send(), { id: `p${index}` })))
  for (const run of runs) await expect(run.result(waiting)).rejects.toThrow('down')
  expect(await rows('N/')).toEqual([])
  fails = false
  for (const run of runs) await (await run.retry()).result(waiting)
  expect(await rows('N/')).toEqual([])
})
