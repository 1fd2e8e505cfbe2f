import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import { NonRetryableError, type TaskError } from '../../src/errors'
import { fanOut, inParallel, sleep } from '../../src/pipeline'
import { createTasks } from '../../src/tasks'
import { testPipeline } from '../../src/testing'

const tasks = createTasks({ namespace: 'portfolio' })
const load = tasks.bind(
  'load',
  async (stock: string): Promise<number[]> => {
    throw new Error(`no network for ${stock}`)
  },
  { retry: { maxRetries: 2, delayMs: 1_000, jitter: 'none' } },
)
const stdDev = tasks.bind('stdDev', (prices: number[]) => prices.length, {
  retry: { maxRetries: 3, delayMs: 500, factor: 2, jitter: 'none' },
})
const average = tasks.bind('average', (numbers: number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length)
const risk = (stocks: string[]) =>
  inParallel(stocks.map((stock) => load.send(stock).continueWith(stdDev))).continueWith(average)

test('functions are replaced, starts are made to fail, and the timeline says what ran and when', async () => {
  const run = await testPipeline(risk(['MSFT', 'IBM']), {
    tasks,
    override: { load: (stock: string) => stock.split('').map(Number) },
    failOn: { stdDev: [1, 2] },
  })
  expect(run.error).toBeUndefined()
  expect(run.result).toBe(3.5)
  expect(run.timeline).toEqual([
    { atMs: 0, task: 'load', path: '/0.0/0', attempt: 1, outcome: 'ok' },
    { atMs: 0, task: 'load', path: '/0.1/0', attempt: 1, outcome: 'ok' },
    {
      atMs: 0,
      task: 'stdDev',
      path: '/0.0/1',
      attempt: 1,
      outcome: 'failed',
      error: 'start 1 of "stdDev" was made to fail',
    },
    {
      atMs: 0,
      task: 'stdDev',
      path: '/0.1/1',
      attempt: 1,
      outcome: 'failed',
      error: 'start 2 of "stdDev" was made to fail',
    },
    { atMs: 500, task: 'stdDev', path: '/0.0/1', attempt: 2, outcome: 'ok' },
    { atMs: 500, task: 'stdDev', path: '/0.1/1', attempt: 2, outcome: 'ok' },
    { atMs: 500, task: 'average', path: '/1', attempt: 1, outcome: 'ok' },
  ])
  expect(String(run).split('\n').slice(3, 5)).toEqual([
    '         0 ms  stdDev/0.1/1  failed: start 2 of "stdDev" was made to fail',
    '       500 ms  stdDev/0.0/1 attempt 2  ok',
  ])
})

test('what fails for good is the error of the run, with the task and the attempt', async () => {
  const run = await testPipeline(load.send('MSFT').continueWith(stdDev), { tasks })
  expect(run.result).toBeUndefined()
  expect(run.error).toMatchObject({ message: 'no network for MSFT', task: { name: 'load', attempt: 3 } })
  expect(run.timeline.map(({ atMs, task, attempt, outcome }) => [atMs, task, attempt, outcome])).toEqual([
    [0, 'load', 1, 'failed'],
    [1_000, 'load', 2, 'failed'],
    [3_000, 'load', 3, 'failed'],
  ])
})

test('a week of retries takes no time to speak of, and each is when the policy says', async () => {
  const patient = createTasks({ namespace: 'patient' })
  const HOUR_MS = 3_600_000
  const poll = patient.bind(
    'poll',
    () => {
      if (taskContext().attempt <= 7 * 24) throw new Error('not yet')
      return 'at last'
    },
    { retry: { maxRetries: 1_000, delayMs: HOUR_MS, factor: 1, maxDelayMs: HOUR_MS, jitter: 'none' } },
  )
  const run = await testPipeline(poll.send(), { tasks: patient })
  expect(run.result).toBe('at last')
  expect(run.timeline.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 7 * 24 + 1 }, (_, hour) => hour * HOUR_MS))
})

test('time does not pass while a function runs, however slow it is', async () => {
  const slow = createTasks({ namespace: 'slow' })
  const wait = slow.bind('wait', () => new Promise<string>((resolve) => setTimeout(resolve, 30, 'done')), {
    timeoutMs: 1,
  })
  const run = await testPipeline(wait.send(), { tasks: slow })
  expect(run).toMatchObject({ result: 'done', timeline: [{ atMs: 0, outcome: 'ok' }] })
})

test('jitter and ids follow the seed', async () => {
  const jumpy = createTasks({ namespace: 'jumpy' })
  const flaky = jumpy.bind(
    'flaky',
    () => {
      const { attempt, idempotencyKey } = taskContext()
      if (attempt < 5) throw new Error(idempotencyKey)
    },
    { retry: { maxRetries: 9, delayMs: 1_000 } },
  )
  const timeline = async (seed: number) => (await testPipeline(flaky.send(), { tasks: jumpy, seed })).timeline
  const first = await timeline(1)
  expect(first).toHaveLength(5)
  expect(await timeline(1)).toEqual(first)
  expect((await timeline(2)).map(({ atMs }) => atMs)).not.toEqual(first.map(({ atMs }) => atMs))
})

test('meta, returned pipelines and errors that are not retried are as on a worker', async () => {
  const tree = createTasks({ namespace: 'tree' })
  const leaf = tree.bind('leaf', (value: number) => [value, taskContext().meta['tenant']])
  const grow = tree.bind('grow', (count: number) => inParallel(Array.from({ length: count }, (_, i) => leaf.send(i))))
  const grown = await testPipeline(grow.send(2), { tasks: tree, meta: { tenant: 'acme' } })
  expect(grown.result).toEqual([
    [0, 'acme'],
    [1, 'acme'],
  ])
  const ill = await testPipeline(grow.send(2), {
    tasks: tree,
    override: {
      leaf: () => {
        throw new NonRetryableError('rotten')
      },
    },
  })
  expect(ill.error).toMatchObject({ code: 'TASKS_GROUP_FAILED', errorCount: 2 })
})

test('the run is given up after timeoutMs of virtual time', async () => {
  const stubborn = createTasks({ namespace: 'stubborn' })
  const never = stubborn.bind(
    'never',
    () => {
      throw new Error('no')
    },
    { retry: { maxRetries: 1_000_000, delayMs: 60_000, factor: 1 } },
  )
  const run = await testPipeline(never.send(), { tasks: stubborn, timeoutMs: 3_600_000 })
  expect(run.error).toMatchObject({ code: 'TASKS_RESULT_TIMEOUT' })
  expect(run.timeline.length).toBeGreaterThan(60)
})

test('tasks that are not bound are named before anything runs', async () => {
  const other = createTasks({ namespace: 'portfolio' })
  const foreign = other.bind('foreign', () => 1)
  await expect(testPipeline(foreign.send(), { tasks })).rejects.toMatchObject({ code: 'TASKS_UNKNOWN_TASK' })
  for (const options of [{ override: { laod: () => [] } }, { failOn: { laod: [1] } }]) {
    await expect(testPipeline(risk(['IBM']), { tasks, ...options })).rejects.toMatchObject({
      code: 'TASKS_UNKNOWN_TASK',
      message: 'no task named "laod" is bound in namespace "portfolio"; known: load, stdDev, average',
    })
  }
})

test('handlers, fan-outs, sleeps and a finally run, and take the time they take', async () => {
  const photos = createTasks({ namespace: 'photos' })
  const list = photos.bind('list', (folder: string) => [`${folder}a`, `${folder}b`])
  const resize = photos.bind('resize', (path: string, width: number) => `${path}@${width}`)
  const placeholders = photos.bind('placeholders', (error: TaskError): string[] => [error.code])
  const collect = photos.bind('collect', (paths: string[]) => paths.join())
  const cleanUp = photos.bind('cleanUp', (_folder: string) => undefined)
  const pipeline = list
    .send('photos/')
    .continueWith(sleep(60_000))
    .continueWith(fanOut(resize.after(200), { maxParallelism: 10 }))
    .exceptionally(placeholders)
    .continueWith(collect)
    .finallyDo(cleanUp, 'photos/')
  const ran = async (failOn: Record<string, number[]>) => {
    const { result, timeline } = await testPipeline(pipeline, { tasks: photos, failOn })
    return [result, timeline.map(({ task, atMs, outcome }) => `${task} ${outcome} at ${atMs}`)]
  }
  expect(await ran({})).toEqual([
    'photos/a@200,photos/b@200',
    ['list ok at 0', 'resize ok at 60000', 'resize ok at 60000', 'collect ok at 60000', 'cleanUp ok at 60000'],
  ])
  expect(await ran({ resize: [1] })).toEqual([
    'TASKS_GROUP_FAILED',
    [
      'list ok at 0',
      'resize failed at 60000',
      'resize ok at 60000',
      'placeholders ok at 60000',
      'collect ok at 60000',
      'cleanUp ok at 60000',
    ],
  ])
})

test('a task that nobody knows is found in handlers, templates and a finally', async () => {
  const other = createTasks({ namespace: 'other' }).bind('unbound', (x: unknown) => x)
  for (const pipeline of [
    average.send([1]).exceptionally(other),
    average.send([1]).finallyDo(other, 1),
    inParallel([average.send([1])]).continueWith(fanOut(other)),
  ])
    await expect(testPipeline(pipeline, { tasks })).rejects.toMatchObject({ code: 'TASKS_UNKNOWN_TASK' })
})

test.each([
  [{}, /testPipeline: tasks must be an object with the functions bind, assertKnows, not undefined/],
  [{ tasks, overide: {} }, /testPipeline: there is no option "overide"/],
])('options %# are refused', async (options, message) => {
  await expect(testPipeline(risk(['A']), options as never)).rejects.toMatchObject({
    code: 'TASKS_OPTIONS',
    message: expect.stringMatching(message) as string,
  })
})
