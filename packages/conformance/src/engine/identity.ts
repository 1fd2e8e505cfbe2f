import assert from 'node:assert/strict'
import { createTasks, taskContext, TaskError } from '@tasks/core'
import { eventually } from '../patience'
import type { EngineCase } from './engine-case'

const code = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (TaskError.is(error) ? error.code : String(error)),
  )

export const identity: readonly EngineCase[] = [
  {
    name: 'runs a pipeline that is submitted twice once, and refuses another under its id',
    because: 'a client that does not know whether its submit arrived sends it again',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let starts = 0
      const task = tasks.bind('task', async (value: number) => {
        starts++
        await new Promise((resolve) => setTimeout(resolve, 30))
        return value
      })
      await stage.workers(tasks)
      const [here, there] = [await stage.client(), await stage.client()]
      const handles = await Promise.all(
        [here, there, here].map((client) => client.submit(task.send(1), { id: 'same' })),
      )
      assert.deepEqual(
        await Promise.all(handles.map((handle) => handle.result({ timeoutMs: stage.patienceMs }))),
        [1, 1, 1],
      )
      assert.equal(starts, 1)
      assert.equal(
        await code(
          there.submit(task.send(2), { id: 'same' }).then((handle) => handle.result({ timeoutMs: stage.patienceMs })),
        ),
        'TASKS_ID_CONFLICT',
      )
      assert.equal(await code(there.submit(task.send(1), { id: 'same', onDuplicate: 'reject' })), 'TASKS_ID_EXISTS')
      const again = await there.submit(task.send(3), { id: 'same', onDuplicate: 'restart' })
      assert.equal(await again.result({ timeoutMs: stage.patienceMs }), 3)
      assert.equal(starts, 2)
    },
  },
  {
    name: 'restarts a run that is live: the old one is cancelled, and its late results change nothing',
    because: "a late result of the old run would fill the new one's slot",
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let letOldEnd!: () => void
      const oldMayEnd = new Promise<void>((resolve) => (letOldEnd = resolve))
      const begin = tasks.bind('begin', async (value: string) => {
        if (value === 'old') await oldMayEnd
        return value
      })
      const end = tasks.bind('end', async (value: string) => {
        await new Promise((resolve) => setTimeout(resolve, 150))
        return value
      })
      let finals = 0
      const final = tasks.bind('final', () => void finals++)
      await stage.workers(tasks)
      const client = await stage.client()
      const old = await client.submit(begin.send('old').continueWith(end).finallyDo(final), { id: 'one' })
      const oldResult = code(old.result({ timeoutMs: stage.patienceMs }))
      await eventually(stage.patienceMs, async () => assert.equal((await old.status()).status, 'RUNNING'))
      const fresh = await client.submit(begin.send('new').continueWith(end), { id: 'one', onDuplicate: 'restart' })
      letOldEnd()
      assert.equal(await fresh.result({ timeoutMs: stage.patienceMs }), 'new')
      assert.equal(await oldResult, 'TASKS_CANCELLED')
      assert.equal((await fresh.status()).done, 2)
      // That of the old run would end after the new one has begun.
      assert.equal(finals, 0)
    },
  },
  {
    name: 'lets another process attach by id, ask and list',
    because: 'the process that submitted may be gone',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const seen: unknown[] = []
      const task = tasks.bind('task', (value: number) => {
        const { rootId, taskId, attempt, meta, idempotencyKey } = taskContext()
        seen.push([rootId, taskId, attempt, meta['tenant'], idempotencyKey.startsWith(`${rootId}:`)])
        return value
      })
      await stage.workers(tasks)
      const [here, there] = [await stage.client(), await stage.client()]
      const ids = ['a/b', 'ü%', 'x y']
      await Promise.all(ids.map((id) => here.submit(task.send(1), { id, meta: { tenant: id } })))
      for (const id of ids) {
        assert.equal(await there.attach<number>(id).result({ timeoutMs: stage.patienceMs }), 1)
        assert.equal((await there.attach(id).status()).status, 'COMPLETED')
        assert.deepEqual((await there.status(id))?.meta, { tenant: id })
      }
      assert.deepEqual(seen.sort(), ids.map((id) => [id, `${id}/0`, 1, id, true]).sort())
      assert.deepEqual((await there.list()).pipelines.map(({ id }) => id).sort(), [...ids].sort())
      assert.deepEqual(await there.list({ status: 'FAILED' }), { pipelines: [], incomplete: false })
      assert.equal(await there.status('nobody'), undefined)
      assert.equal(await code(there.attach('nobody').status()), 'TASKS_NOT_FOUND')
    },
  },
  {
    name: 'forgets a pipeline when its retention has ended, and lets its id be used again',
    because: 'what is never forgotten fills the store',
    lanes: ['local', 'queue'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const task = tasks.bind('task', (value: number) => value)
      await stage.workers(tasks)
      const client = await stage.client()
      const run = await client.submit(task.send(1), { id: 'brief', retentionMs: 50 })
      assert.equal(await run.result({ timeoutMs: stage.patienceMs }), 1)
      await eventually(stage.patienceMs, async () => assert.equal(await client.status('brief'), undefined))
      assert.equal(
        await (await client.submit(task.send(2), { id: 'brief' })).result({ timeoutMs: stage.patienceMs }),
        2,
      )
    },
  },
  {
    name: 'starts a delayed pipeline when its time has come',
    because: 'a delay is a promise about time, kept by whoever owns the partition then',
    lanes: ['local', 'queue'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const task = tasks.bind('task', () => Date.now())
      await stage.workers(tasks)
      const client = await stage.client()
      const before = Date.now()
      const run = await client.submit(task.send(), { delayMs: 300 })
      assert.ok((await run.result({ timeoutMs: stage.patienceMs })) >= before + 300, 'it started early')
    },
  },
  {
    name: 'says that no worker is up when a result does not come, and runs the pipeline when one is',
    because: 'a client must not take silence for failure',
    lanes: ['local', 'queue'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const task = tasks.bind('task', (value: number) => value)
      // The namespace has its partitions from the first worker.
      await (await stage.worker(tasks)).worker.close()
      const client = await stage.client()
      const run = await client.submit(task.send(7))
      await assert.rejects(
        run.result({ timeoutMs: 100 }),
        (error: unknown) =>
          TaskError.is(error) &&
          error.code === 'TASKS_RESULT_TIMEOUT' &&
          /is a worker of this namespace up/.test(error.message),
      )
      await stage.workers(tasks)
      assert.equal(await run.result({ timeoutMs: stage.patienceMs }), 7)
    },
  },
]
