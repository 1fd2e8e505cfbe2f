import assert from 'node:assert/strict'
import { createTasks, fanOut, inParallel, sleep, taskContext, TaskError, type TaskState } from '@tasks/core'
import type { EngineCase } from './engine-case'

export const handlers: readonly EngineCase[] = [
  {
    name: 'gives the error to the next handler of the chain, and goes on with what that returns',
    because: 'a failure that no handler sees, or that a later entry sees as a result, is a wrong result',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const ran: string[] = []
      const fails = tasks.bind('fails', (name: string): string => {
        ran.push(name)
        throw new Error(`${name} failed`)
      })
      const says = tasks.bind('says', (...args: unknown[]): string => {
        ran.push('says')
        return args.map((arg) => (TaskError.is(arg) ? `<${arg.message}>` : String(arg))).join(' ')
      })
      const again = tasks.bind('again', (error: unknown): string => {
        ran.push('again')
        throw new Error(`again: ${TaskError.is(error) ? error.message : 'no error'}`)
      })
      await stage.workers(tasks)
      const client = await stage.client()
      const result = async (pipeline: object): Promise<unknown> =>
        (await client.submit(pipeline as never)).result({ timeoutMs: stage.patienceMs })
      // A failure skips what is between it and the handler; what comes after the handler gets its result.
      assert.equal(
        await result(
          fails.send('a').continueWith(says, 'skipped').exceptionally(says, 'own').continueWith(says, 'then'),
        ),
        '<a failed> own then',
      )
      // A success skips handlers.
      assert.equal(
        await result(says.send('x').exceptionally(again).exceptionally(again).continueWith(says, 'y')),
        'x y',
      )
      // A handler that throws is followed by the next one.
      assert.equal(await result(fails.send('b').exceptionally(again).exceptionally(says)), '<again: b failed>')
      // After a group it gets the failures of all chains; inside of a chain it handles that chain only.
      const group = inParallel([fails.send('c'), says.send('d'), fails.send('e').exceptionally(says)])
      assert.match(String(await result(group.exceptionally(says))), /^<1 of 3 chains of a group failed/)
      assert.equal(
        JSON.stringify(await result(inParallel([fails.send('f').exceptionally(says), says.send('g')]))),
        '["<f failed>","g"]',
      )
      // A failure before a group skips the whole group, handlers inside of it too.
      ran.length = 0
      assert.equal(
        await result(
          fails
            .send('h')
            .continueWith(inParallel([says.after().exceptionally(again)]))
            .exceptionally(says),
        ),
        '<h failed>',
      )
      assert.deepEqual(ran, ['h', 'says'])
    },
  },
  {
    name: 'runs finally once after success and after failure, and keeps the outcome',
    because: 'what finally cleans up must be cleaned up, however the pipeline ended',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const ran: unknown[][] = []
      const one = tasks.bind('one', () => 1)
      const fails = tasks.bind('fails', (): number => {
        throw new Error('the task')
      })
      const cleanUp = tasks.bind('cleanUp', (...args: unknown[]) => void ran.push(args))
      const breaks = tasks.bind('breaks', () => {
        throw new Error('the finally')
      })
      const inner = tasks.bind('inner', () => one.send().finallyDo(cleanUp, 'inner'))
      const failsInside = tasks.bind('failsInside', () => fails.send().finallyDo(cleanUp, 'inner'))
      await stage.workers(tasks)
      const client = await stage.client()
      const settled = async (pipeline: object): Promise<unknown> => {
        const run = await client.submit(pipeline as never)
        return run.result({ timeoutMs: stage.patienceMs }).catch((error: unknown) => error)
      }
      assert.equal(await settled(one.send().finallyDo(cleanUp, 'a')), 1)
      const failed = await settled(fails.send().finallyDo(cleanUp, 'b'))
      assert.ok(
        TaskError.is(failed) && failed.message === 'the task' && failed.suppressed === undefined,
        String(failed),
      )
      // Its own failure replaces a success, and is attached to a failure.
      const replaced = await settled(one.send().finallyDo(breaks))
      assert.ok(TaskError.is(replaced) && replaced.message === 'the finally', String(replaced))
      const both = await settled(fails.send().finallyDo(breaks))
      assert.ok(TaskError.is(both) && both.message === 'the task', String(both))
      assert.deepEqual(
        both.suppressed?.map(({ message }) => message),
        ['the finally'],
      )
      // That of a returned pipeline runs before its caller goes on.
      assert.equal(await settled(inner.send().finallyDo(cleanUp, 'outer')), 1)
      const deep = await settled(inParallel([failsInside.send()]).finallyDo(cleanUp, 'outer'))
      assert.ok(TaskError.is(deep) && deep.code === 'TASKS_GROUP_FAILED', String(deep))
      assert.deepEqual(ran, [['a'], ['b'], ['inner'], ['outer'], ['inner'], ['outer']])
    },
  },
  {
    name: 'fans out over a result: one chain for each element, results in order',
    because: 'an element that is lost, or runs twice, is a wrong result',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const count = tasks.bind('count', (to: number) => Array.from({ length: to }, (_, i) => i))
      const double = tasks.bind('double', (n: number) => 2 * n)
      const plus = tasks.bind('plus', (n: number, m: number) => n + m)
      const sum = tasks.bind('sum', (numbers: number[]) => numbers.reduce((a, b) => a + b, 0))
      const none = tasks.bind('none', (): number[] => 7 as never)
      await stage.workers(tasks)
      const client = await stage.client()
      const result = async (pipeline: object): Promise<unknown> =>
        (await client.submit(pipeline as never)).result({ timeoutMs: stage.patienceMs })
      const chain = double.after().continueWith(plus, 1)
      assert.deepEqual(await result(count.send(5).continueWith(fanOut(chain))), [1, 3, 5, 7, 9])
      assert.equal(
        await result(
          count
            .send(300)
            .continueWith(fanOut(double, { maxParallelism: 7 }))
            .continueWith(sum),
        ),
        300 * 299,
      )
      assert.deepEqual(await result(count.send(0).continueWith(fanOut(double))), [])
      // Over the results of a group, and within itself.
      assert.deepEqual(await result(inParallel([double.send(1), double.send(2)]).continueWith(fanOut(double))), [4, 8])
      assert.deepEqual(await result(count.send(3).continueWith(fanOut(count.after().continueWith(fanOut(double))))), [
        [],
        [0],
        [0, 2],
      ])
      assert.deepEqual(await result(count.send(2).continueWith(fanOut(inParallel([double, plus.after(10)])))), [
        [0, 10],
        [2, 11],
      ])
      await assert.rejects(result(none.send().continueWith(fanOut(double))), /a fan-out needs an array/)
    },
  },
  {
    name: 'gives the results of an unordered group in the order in which they came',
    because: 'the values are the same, and the quickest is first',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const wait = tasks.bind('wait', (ms: number) => new Promise<number>((done) => setTimeout(() => done(ms), ms)))
      await stage.workers(tasks)
      const client = await stage.client()
      const group = inParallel([wait.send(400), wait.send(1), wait.send(200)], { ordered: false })
      const run = await client.submit(group)
      assert.deepEqual(await run.result({ timeoutMs: stage.patienceMs }), [1, 200, 400])
    },
  },
  {
    name: 'sleeps as an entry, and passes on what it got',
    because: 'a sleep that blocks a worker, or drops a value, is no sleep',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const now = tasks.bind('now', (before?: number) => performance.now() - (before ?? 0))
      await stage.workers(tasks, { concurrency: 1 })
      const client = await stage.client()
      const run = await client.submit(now.send().continueWith(sleep(300)).continueWith(now))
      const waited = await run.result({ timeoutMs: stage.patienceMs })
      assert.ok(waited >= 290, `it slept ${waited} ms`)
      const many = await client.submit(inParallel(Array.from({ length: 50 }, () => sleep(200).continueWith(now))))
      assert.equal((await many.result({ timeoutMs: stage.patienceMs })).length, 50)
    },
  },
  {
    name: 'keeps a state beside the results: of successful attempts, through groups, apart from pipelines that are returned',
    because: 'a write that is lost, or seen by whom it is not meant for, is wrong',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const state = (): TaskState => taskContext().state
      const set = tasks.bind('set', (key: string, value: unknown) => state().set(key, value))
      const show = tasks.bind('show', () => JSON.stringify(Object.entries(state().get()).sort()))
      const flaky = tasks.bind(
        'flaky',
        () => {
          const { attempt } = taskContext()
          state().set('attempt', attempt)
          state().set(`only ${attempt}`, true)
          if (attempt < 3) throw new Error('again')
        },
        { retry: { maxRetries: 3, delayMs: 1, jitter: 'none' } },
      )
      const apart = tasks.bind('apart', () => set.send('inner', 1).continueWith(show))
      const within = tasks.bind('within', () => set.send('inner', 1).continueWith(show).inline())
      await stage.workers(tasks)
      const client = await stage.client()
      const result = async (pipeline: object): Promise<unknown> =>
        (await client.submit(pipeline as never)).result({ timeoutMs: stage.patienceMs })
      assert.equal(await result(show.send().withInitial({ state: { b: [2], c: 'x' } })), '[["b",[2]],["c","x"]]')
      assert.equal(await result(flaky.send().continueWith(show.send())), '[["attempt",3],["only 3",true]]')
      assert.equal(
        await result(
          set
            .send('a', 0)
            .continueWith(inParallel([set.send('x', 1).continueWith(show.send()), set.send('y', 2)]))
            .continueWith(show.send()),
        ),
        '[["a",0],["x",1],["y",2]]',
      )
      await assert.rejects(result(inParallel([set.send('x', 1), set.send('x', 2)])), { code: 'TASKS_STATE_CONFLICT' })
      assert.equal(
        await result(inParallel([set.send('x', 1), set.send('x', 1)]).continueWith(show.send())),
        '[["x",1]]',
      )
      assert.equal(await result(set.send('a', 0).continueWith(apart.send())), '[["inner",1]]')
      assert.equal(await result(set.send('a', 0).continueWith(apart.send()).continueWith(show.send())), '[["a",0]]')
      assert.equal(await result(set.send('a', 0).continueWith(within.send())), '[["a",0],["inner",1]]')
      assert.equal(
        await result(set.send('a', 0).continueWith(within.send()).continueWith(show.send())),
        '[["a",0],["inner",1]]',
      )
    },
  },
]
