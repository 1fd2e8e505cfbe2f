import assert from 'node:assert/strict'
import { createTasks, inParallel, taskContext, TaskError } from '@tasks/core'
import { eventually } from '../patience'
import type { EngineCase } from './engine-case'

export const control: readonly EngineCase[] = [
  {
    name: 'starts nothing of a paused pipeline until it is resumed, from any client',
    because: 'whoever pauses wants to look, or to deploy, before anything more happens',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const ran: string[] = []
      let release!: () => void
      const gate = new Promise<void>((resolve) => (release = resolve))
      const held = tasks.bind('held', async () => {
        ran.push('held')
        await gate
      })
      const after = tasks.bind('after', (name: string) => void ran.push(name))
      await stage.workers(tasks)
      const [client, other] = [await stage.client(), await stage.client()]
      const chains = Array.from({ length: 20 }, (_, i) => after.send(`chain ${i}`))
      const run = await client.submit(held.send().continueWith(after.send('next')).continueWith(inParallel(chains)))
      await eventually(stage.patienceMs, async () => assert.deepEqual(ran, ['held']))
      await other.pause(run.id)
      await other.pause(run.id)
      release()
      await eventually(stage.patienceMs, async () => assert.equal((await run.status()).done, 1))
      assert.equal((await other.status(run.id))?.status, 'PAUSED')
      await new Promise((resolve) => setTimeout(resolve, 100))
      assert.deepEqual(ran, ['held'])
      await other.resume(run.id)
      await run.result({ timeoutMs: stage.patienceMs })
      assert.equal(ran.length, 22)
      await assert.rejects(run.pause(), (error) => TaskError.is(error) && error.code === 'TASKS_STATUS')
    },
  },
  {
    name: 'pauses by itself after an entry that says so',
    because: 'a step for people is part of a workflow',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const one = tasks.bind('one', () => 1)
      const plus = tasks.bind('plus', (n: number) => n + 1)
      await stage.workers(tasks)
      const client = await stage.client()
      const run = await client.submit(one.send().pauseAfter().continueWith(plus))
      await eventually(stage.patienceMs, async () => assert.equal((await run.status()).status, 'PAUSED'))
      assert.equal((await run.status()).attempts, 1)
      await run.resume()
      assert.equal(await run.result({ timeoutMs: stage.patienceMs }), 2)
      const group = await client.submit(inParallel([one.send(), one.send()]).pauseAfter().continueWith(plus.send(4)))
      await eventually(stage.patienceMs, async () => assert.equal((await group.status()).status, 'PAUSED'))
      await group.resume()
      assert.equal(await group.result({ timeoutMs: stage.patienceMs }), 5)
      // After the last entry there is nothing to hold.
      const last = await client.submit(one.send().pauseAfter())
      assert.equal(await last.result({ timeoutMs: stage.patienceMs }), 1)
    },
  },
  {
    name: 'cancels: aborts what runs, starts nothing more, runs finally, and tells who waits',
    because: 'a pipeline that is cancelled and goes on does harm',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const ran: string[] = []
      const long = tasks.bind('long', async (name: string) => {
        ran.push(name)
        const { signal } = taskContext()
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      })
      const never = tasks.bind('never', () => void ran.push('never'))
      const cleanUp = tasks.bind('cleanUp', (name: string) => void ran.push(name))
      const inner = tasks.bind('inner', () => long.send('inner').finallyDo(cleanUp, 'clean inner'))
      await stage.workers(tasks)
      const client = await stage.client()
      const run = await client.submit(
        inParallel([long.send('a'), inner.send(), ...Array.from({ length: 50 }, () => long.send('x'))], {
          maxParallelism: 2,
        })
          .continueWith(never.send())
          .finallyDo(cleanUp, 'clean outer'),
      )
      const result = run.result({ timeoutMs: stage.patienceMs })
      await eventually(stage.patienceMs, async () => assert.deepEqual([...ran].sort(), ['a', 'inner']))
      await run.cancel()
      await run.cancel()
      await assert.rejects(result, (error) => TaskError.is(error) && error.code === 'TASKS_CANCELLED')
      assert.equal((await run.status()).status, 'CANCELLED')
      assert.deepEqual(ran.slice(2), ['clean inner', 'clean outer'])
      await assert.rejects(run.resume(), (error) => TaskError.is(error) && error.code === 'TASKS_STATUS')
    },
  },
  {
    name: 'does not wait for ever for a task that does not hear of the cancelling',
    because: 'a function that ignores its signal must not hold the pipeline',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let release!: () => void
      const gate = new Promise<void>((resolve) => (release = resolve))
      const deaf = tasks.bind('deaf', () => gate)
      await stage.workers(tasks)
      const client = await stage.client()
      const run = await client.submit(deaf.send().continueWith(deaf.send()))
      await eventually(stage.patienceMs, async () => assert.equal((await run.status()).status, 'RUNNING'))
      await run.cancel({ graceMs: 200 })
      await assert.rejects(run.result({ timeoutMs: stage.patienceMs }), { code: 'TASKS_CANCELLED' })
      // What it gives in the end changes nothing any more.
      release()
      await new Promise((resolve) => setTimeout(resolve, 50))
      assert.equal((await run.status()).status, 'CANCELLED')
    },
  },
  {
    name: 'retries a failed pipeline from the tasks that failed, and keeps the results that are there',
    because: 'work that was done and paid for must not be done again',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const ran = new Map<string, number>()
      let mended = false
      const task = tasks.bind('task', (name: string): string => {
        ran.set(name, (ran.get(name) ?? 0) + 1)
        if (!mended && name.startsWith('bad')) throw new Error(name)
        return name
      })
      const join = tasks.bind('join', (names: unknown[]) => names.flat().join())
      const inner = tasks.bind('inner', () =>
        task.send('in 1').continueWith(inParallel([task.send('in 2'), task.send('bad 3')])),
      )
      await stage.workers(tasks)
      const client = await stage.client()
      const many = Array.from({ length: 100 }, (_, i) => task.send(i % 10 === 3 ? `bad ${i}00` : `good ${i}`))
      const pipeline = task
        .send('first')
        .continueWith(
          inParallel([
            task.send('bad 1').continueWith(task.send('second')),
            inner.send().continueWith(join).continueWith(task.send('after')),
            inParallel(many, { maxParallelism: 5 }).continueWith(join),
            task.send('good').continueWith(task.send('bad 2')),
          ]),
        )
        .continueWith(join)
      const run = await client.submit(pipeline, { id: 'retried' })
      await assert.rejects(run.result({ timeoutMs: stage.patienceMs }), { code: 'TASKS_GROUP_FAILED' })
      mended = true
      const again = await run.retry()
      assert.match(await again.result({ timeoutMs: stage.patienceMs }), /^second,after,good 0,.*,bad 2$/)
      for (const [name, times] of ran) assert.equal(times, name.startsWith('bad') ? 2 : 1, name)
      await assert.rejects(client.retry('retried'), (error) => TaskError.is(error) && error.code === 'TASKS_STATUS')
      await client.delete('retried')
      await eventually(stage.patienceMs, async () => assert.equal(await client.status('retried'), undefined))
      await assert.rejects(client.pause('retried'), (error) => TaskError.is(error) && error.code === 'TASKS_NOT_FOUND')
    },
  },
  {
    name: 'tells a pipeline entry by entry, and its failures by pages',
    because: 'what cannot be looked into cannot be mended',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const one = tasks.bind('one', () => 1)
      const odd = tasks.bind('odd', (n: number): number => {
        if (n % 2 === 1) throw new RangeError(`${n} is odd`)
        return n
      })
      let release!: () => void
      const gate = new Promise<void>((resolve) => (release = resolve))
      const held = tasks.bind('held', () => gate)
      const inner = tasks.bind('inner', () => held.send().continueWith(one.send()))
      const group = tasks.bind('group', () => inParallel(Array.from({ length: 250 }, (_, n) => odd.send(n))))
      await stage.workers(tasks)
      const client = await stage.client()
      const run = await client.submit(
        one.send().continueWith(inner.send()).continueWith(group.send()).continueWith(one.send()),
        { id: 'told' },
      )
      await eventually(stage.patienceMs, async () => {
        const entries = (await run.describe()).chain?.entries ?? []
        assert.deepEqual(
          entries.map(({ name, state }) => `${name} ${state}`),
          ['one done', 'inner running', 'group pending', 'one pending'],
        )
        const below = entries[1]!.returned!.entries
        assert.deepEqual(
          below.map(({ taskId, state }) => `${taskId} ${state}`),
          ['told/1:/0 running', 'told/1:/1 pending'],
        )
      })
      const whole = async (): Promise<readonly (readonly string[])[]> =>
        (await client.list({ children: true })).pipelines.map((found) => [
          found.id,
          found.name ?? '',
          found.status,
          'rootId' in found ? found.parentId : '',
        ])
      assert.deepEqual(await whole(), [
        ['told', 'one', 'RUNNING', ''],
        ['told/1:', 'held', 'RUNNING', 'told'],
      ])
      release()
      await assert.rejects(run.result({ timeoutMs: stage.patienceMs }), { code: 'TASKS_GROUP_FAILED' })
      assert.deepEqual(await whole(), [
        ['told', 'one', 'FAILED', ''],
        ['told/2:', 'odd', 'FAILED', 'told'],
      ])
      const { chain, error, failures } = await run.describe({ maxChains: 2, failuresAfter: -1 })
      assert.deepEqual([error?.code, error?.errorCount], ['TASKS_GROUP_FAILED', 125])
      assert.deepEqual(
        chain?.entries.map(({ state }) => state),
        ['done', 'done', 'failed', 'skipped'],
      )
      const told = chain?.entries[2]?.returned?.entries[0]?.group
      assert.deepEqual([told?.size, told?.ended, told?.failed], [250, 250, 125])
      assert.equal(told?.chains[0]?.entries[0]?.error?.message, '1 is odd')
      assert.equal(failures?.errors.length, 100)
      const rest = await run.describe({ failuresAfter: failures!.errors.at(-1)!.index })
      assert.deepEqual(
        [...failures!.errors, ...rest.failures!.errors].map(({ index }) => index),
        Array.from({ length: 125 }, (_, n) => 2 * n + 1),
      )
      const found = await client.list({ name: 'one', status: 'FAILED', since: 0 })
      assert.deepEqual([found.pipelines.map(({ id }) => id), found.incomplete], [['told'], false])
      assert.deepEqual((await client.list({ name: 'two' })).pipelines, [])
    },
  },
]
