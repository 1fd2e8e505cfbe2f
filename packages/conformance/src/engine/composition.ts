import assert from 'node:assert/strict'
import { createTasks, inParallel, NonRetryableError, spread, TaskError } from '@tasks/core'
import type { EngineCase } from './engine-case'

export const composition: readonly EngineCase[] = [
  {
    name: 'runs the 1-N-1 pipeline that a task returns, and joins its results in declaration order',
    because: 'it is what the library is for',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const load = tasks.bind('load', async (name: string) => [name.length, 1])
      const total = tasks.bind('total', (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0))
      const join = tasks.bind('join', (totals: number[]) => totals.join(' '))
      const all = tasks.bind('all', (names: string[]) =>
        inParallel(names.map((name) => load.send(name).continueWith(total))).continueWith(join),
      )
      await stage.workers(tasks)
      const client = await stage.client()
      const names = Array.from({ length: 40 }, (_, index) => 'x'.repeat(index))
      const run = await client.submit(all, names)
      assert.equal(await run.result({ timeoutMs: stage.patienceMs }), names.map((_, index) => index + 1).join(' '))
      assert.deepEqual(await run.progress(), { done: 82, total: 82 })
    },
  },
  {
    name: 'passes results on as the calling rule says',
    because: 'an argument that shifts is a wrong result, not an error',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const pair = tasks.bind('pair', () => spread('a', 1))
      const nothing = tasks.bind('nothing', (): void => undefined)
      const list = tasks.bind('list', () => ['x', 'y'])
      const show = tasks.bind('show', (...args: unknown[]) => JSON.stringify(args))
      await stage.workers(tasks)
      const client = await stage.client()
      const result = async (pipeline: Parameters<typeof client.submit>[0]): Promise<unknown> =>
        (await client.submit(pipeline as never)).result({ timeoutMs: stage.patienceMs })
      assert.equal(await result(pair.send().continueWith(show, 'own')), '["a",1,"own"]')
      assert.equal(await result(nothing.send().continueWith(show)), '[]')
      assert.equal(await result(list.send().continueWith(show)), '[["x","y"]]')
      assert.equal(await result(list.send().continueWith(show.send('closed'))), '["closed"]')
      assert.equal(
        await result(
          list
            .send()
            .continueWith(inParallel([show, show.after('own'), show.send('closed')]))
            .continueWith(show),
        ),
        JSON.stringify([['[["x","y"]]', '[["x","y"],"own"]', '["closed"]']]),
      )
    },
  },
  {
    name: 'runs groups within groups, empty ones too',
    because: 'a group that never ends holds its pipeline for ever',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const echo = tasks.bind('echo', (value: unknown) => value)
      await stage.workers(tasks)
      const client = await stage.client()
      const nested = inParallel([
        inParallel([]),
        inParallel([echo.send(1), inParallel([echo.send(2), inParallel([])])]),
        echo.send(3).continueWith(inParallel([echo, echo])),
      ]).continueWith(echo)
      assert.deepEqual(await (await client.submit(nested)).result({ timeoutMs: stage.patienceMs }), [
        [],
        [1, [2, []]],
        [3, 3],
      ])
      assert.deepEqual(await (await client.submit(inParallel([]))).result({ timeoutMs: stage.patienceMs }), [])
      assert.deepEqual(
        await (await client.submit(echo.send(1).continueWith(inParallel([])))).result({ timeoutMs: stage.patienceMs }),
        [],
      )
    },
  },
  {
    name: 'retries what may be retried, and fails a pipeline with the task, the attempt and the stack',
    because: 'whoever operates it has only the error to go by',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let starts = 0
      const flaky = tasks.bind(
        'flaky',
        (failures: number) => {
          starts++
          if (starts <= failures) throw new TypeError(`failure ${starts}`)
          return starts
        },
        { retry: { maxRetries: 2, delayMs: 5 } },
      )
      const final = tasks.bind(
        'final',
        () => {
          throw new NonRetryableError('never again')
        },
        { retry: { maxRetries: 5, delayMs: 5 } },
      )
      await stage.workers(tasks)
      const client = await stage.client()
      assert.equal(await (await client.submit(flaky, 2)).result({ timeoutMs: stage.patienceMs }), 3)
      starts = -10
      const run = await client.submit(flaky.send(99), { id: 'doomed' })
      const error = await run.result({ timeoutMs: stage.patienceMs }).then(
        () => assert.fail('it succeeded'),
        (thrown: unknown) => thrown,
      )
      assert.ok(TaskError.is(error))
      assert.equal(error.message, 'failure -7')
      assert.deepEqual(error.task, { name: 'flaky', id: 'doomed/0', attempt: 3 })
      assert.match(error.stack ?? '', /composition/)
      assert.equal((await run.status()).status, 'FAILED')
      assert.equal((await run.status()).attempts, 3)
      const once = await (await client.submit(final.send())).status().then(() => client.submit(final.send()))
      await assert.rejects(once.result({ timeoutMs: stage.patienceMs }), /never again/)
      assert.equal((await once.status()).attempts, 1)
    },
  },
  {
    name: 'waits for every chain of a group that fails, then fails with all causes, or returns them',
    because: 'a chain that is abandoned has effects that nobody sees',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let ended = 0
      const ok = tasks.bind('ok', async (ms: number) => {
        await new Promise((resolve) => setTimeout(resolve, ms))
        return ++ended
      })
      const bad = tasks.bind('bad', (why: string): number => {
        throw new Error(why)
      })
      await stage.workers(tasks)
      const client = await stage.client()
      const failing = await client.submit(inParallel([bad.send('one').continueWith(ok), ok.send(150), bad.send('two')]))
      const error = await failing.result({ timeoutMs: stage.patienceMs }).then(
        () => assert.fail('it succeeded'),
        (thrown: unknown) => thrown,
      )
      assert.ok(TaskError.is(error))
      assert.equal(ended, 1, 'a chain was not waited for')
      assert.equal(error.code, 'TASKS_GROUP_FAILED')
      assert.deepEqual(
        error.errors?.map(({ index, message, task }) => [
          index,
          message,
          task?.name,
          task?.id.slice(failing.id.length),
        ]),
        [
          [0, 'one', 'bad', '/0.0/0'],
          [2, 'two', 'bad', '/0.2/0'],
        ],
      )
      const values = await (
        await client.submit(inParallel([bad.send('one'), ok.send(1)], { returnExceptions: true }))
      ).result({ timeoutMs: stage.patienceMs })
      assert.ok(TaskError.is(values[0]))
      assert.equal(values[1], 2)
    },
  },
  {
    name: 'runs no more chains of a group at a time than it was told',
    because: 'the limit protects what the tasks call',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let running = 0
      let most = 0
      const work = tasks.bind('work', async (value: number) => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 5))
        running--
        return value
      })
      await stage.workers(tasks, { concurrency: 20 })
      const client = await stage.client()
      const run = await client.submit(
        inParallel(
          Array.from({ length: 30 }, (_, index) => work.send(index).continueWith(work)),
          { maxParallelism: 3 },
        ),
      )
      assert.deepEqual(
        await run.result({ timeoutMs: stage.patienceMs }),
        Array.from({ length: 30 }, (_, index) => index),
      )
      assert.ok(most <= 3, `${most} ran at a time`)
    },
  },
  {
    name: 'runs a group of thousands, each chain once, in order',
    because: 'what grows with the size of a group shows in a large one',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const runs = new Map<number, number>()
      const square = tasks.bind('square', (value: number) => {
        runs.set(value, (runs.get(value) ?? 0) + 1)
        return value * value
      })
      const size = tasks.bind(
        'size',
        (values: number[]) => values.every((value, index) => value === index * index) && values.length,
      )
      // Nobody dies: a lease that a busy machine does not outlast.
      await stage.workers(tasks, { concurrency: 50, leaseMs: 60_000 })
      const client = await stage.client()
      const run = await client.submit(
        inParallel(Array.from({ length: 5_000 }, (_, index) => square.send(index))).continueWith(size),
      )
      assert.equal(await run.result({ timeoutMs: 3 * stage.patienceMs }), 5_000)
      assert.equal(runs.size, 5_000)
      assert.deepEqual(
        [...runs.values()].filter((count) => count !== 1),
        [],
        'a task ran more than once though nothing failed',
      )
    },
  },
  {
    name: 'carries arguments and results that are larger than its messages',
    because: "a broker's message limit is not the user's",
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const grow = tasks.bind('grow', (text: string) => text + text)
      const measure = tasks.bind('measure', (texts: string[]) => texts.map((text) => text.length))
      await stage.workers(tasks)
      const client = await stage.client()
      const text = 'ü'.repeat(700_000)
      const run = await client.submit(
        inParallel([grow.send(text), grow.send(text).continueWith(grow)]).continueWith(measure),
      )
      assert.deepEqual(await run.result({ timeoutMs: 3 * stage.patienceMs }), [1_400_000, 2_800_000])
      assert.equal(
        (await (await client.submit(grow.send(text))).result({ timeoutMs: stage.patienceMs })).length,
        1_400_000,
      )
      const alone = await client.enqueue(grow.send(text), { reply: true })
      assert.equal((await alone.result({ timeoutMs: stage.patienceMs })).length, 1_400_000)
    },
  },
]
