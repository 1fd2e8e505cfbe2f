import assert from 'node:assert/strict'
import { createTasks, fanOut, inParallel, TaskError } from '@tasks/core'
import { eventually, undisturbed } from '../patience'
import type { EngineCase } from './engine-case'

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export const faults: readonly EngineCase[] = [
  {
    name: 'loses nothing when a worker that owns everything dies in the middle of a group',
    because: 'processes die',
    requires: ['crash'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let ended = 0
      const work = tasks.bind('work', async (value: number) => {
        await later(5)
        ended++
        return value
      })
      const sum = tasks.bind('sum', (values: number[]) => values.reduce((total, value) => total + value, 0))
      const [first] = await stage.workers(tasks, { concurrency: 10 })
      const client = await stage.client()
      const run = await client.submit(
        inParallel(Array.from({ length: 200 }, (_, index) => work.send(index).continueWith(work))).continueWith(sum),
      )
      await eventually(stage.patienceMs, () => assert.ok(ended > 60))
      await stage.harness.crash!(first!.transport)
      await stage.worker(tasks, { concurrency: 10 })
      assert.equal(await run.result({ timeoutMs: stage.patienceMs + 6 * stage.leaseMs }), 19_900)
      assert.deepEqual(await run.progress(), { done: 401, total: 401 })
    },
  },
  {
    name: 'takes no harm from an owner that is frozen beyond its lease and goes on',
    because: 'a paused process does not know that it is no longer the owner',
    requires: ['stall'],
    lanes: ['local', 'queue'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const work = tasks.bind('work', async (value: number) => {
        await later(20)
        return value
      })
      const sum = tasks.bind('sum', (values: number[]) => values.reduce((total, value) => total + value, 0))
      const { transport } = await stage.worker(tasks, { concurrency: 5 })
      const client = await stage.client()
      const run = await client.submit(
        inParallel(Array.from({ length: 100 }, (_, index) => work.send(index).continueWith(work))).continueWith(sum),
      )
      await later(60)
      const resume = stage.harness.stall!(transport)
      await stage.worker(tasks, { concurrency: 5 })
      await later(3 * stage.leaseMs)
      resume()
      assert.equal(await run.result({ timeoutMs: stage.patienceMs + 6 * stage.leaseMs }), 4_950)
      assert.deepEqual(await run.progress(), { done: 201, total: 201 })
    },
  },
  {
    name: 'hands over when a worker closes, and runs each task once',
    because: 'a deploy must cost neither a lease nor a task run twice',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const runs = new Map<number, number>()
      const work = tasks.bind('work', async (value: number) => {
        runs.set(value, (runs.get(value) ?? 0) + 1)
        await later(20)
        return value
      })
      const [first] = await stage.workers(tasks, { concurrency: 5 })
      const client = await stage.client()
      const run = await client.submit(inParallel(Array.from({ length: 100 }, (_, index) => work.send(index))))
      await eventually(stage.patienceMs, () => assert.ok(runs.size > 10))
      await stage.worker(tasks, { concurrency: 5 })
      await first!.worker.close()
      assert.equal((await run.result({ timeoutMs: stage.patienceMs })).length, 100)
      assert.deepEqual(
        [...runs].filter(([, count]) => count !== 1),
        [],
        'a task ran more than once',
      )
    },
  },
  {
    name: 'runs a task that takes many leases once',
    because: 'a lease is for the death of its holder, not for the length of its work',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let starts = 0
      const long = tasks.bind('long', async () => {
        starts++
        await later(6 * stage.leaseMs)
        return 'done'
      })
      await stage.workers(tasks)
      const client = await stage.client()
      await undisturbed(stage.leaseMs, async () => {
        starts = 0
        const run = await client.submit(long.send())
        assert.equal(await run.result({ timeoutMs: stage.patienceMs + 6 * stage.leaseMs }), 'done')
        assert.equal(starts, 1)
      })
    },
  },
  {
    name: 'keeps four workers busy with one group of slow tasks',
    because: 'the owner of a group must not keep its work to itself',
    lanes: ['local', 'mixed'],
    async play(stage) {
      const slots = 16
      const values = Array.from({ length: 40 }, (_, index) => index)
      let running = 0
      let open: () => void = () => undefined
      let gate = Promise.resolve()
      const workers = Array.from({ length: 4 }, () => {
        const tasks = createTasks({ namespace: stage.namespace })
        const slow = tasks.bind('slow', () => later(30))
        // Ends when all slots of all workers are taken, and not before.
        const meet = tasks.bind('meet', async (value: number) => {
          if (++running === slots) open()
          await gate
          return value
        })
        return { tasks, slow, list: tasks.bind('list', () => values), meet }
      })
      for (const [index, { tasks }] of workers.entries())
        await stage.worker(tasks, { concurrency: slots / 4, localLane: stage.lane === 'local' || index % 2 === 0 })
      const [{ slow, list, meet }] = workers as [(typeof workers)[0]]
      const client = await stage.client()
      const timeoutMs = stage.patienceMs
      // What workers know of earlier tasks decides how much they take.
      await (await client.submit(inParallel(Array.from({ length: 200 }, () => slow.send())))).result({ timeoutMs })
      for (const group of [
        inParallel(values.map((value) => meet.send(value))),
        list.send().continueWith(fanOut(meet)),
      ]) {
        running = 0
        gate = new Promise((resolve) => (open = resolve))
        const run = await client.submit(group)
        const ended = await run.result({ timeoutMs }).catch(() => `${running} of ${slots} slots were taken at once`)
        assert.deepEqual(ended, values)
      }
    },
  },
  {
    name: 'gives a message that cannot be read to the dead letters, and goes on with the others',
    because: 'one poisoned message must not stop a partition or a queue',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const task = tasks.bind('task', (value: number) => value)
      await stage.workers(tasks)
      const client = await stage.client()
      const transport = await stage.harness.create()
      const space = await transport.open({ namespace: stage.namespace })
      const bodies = [Buffer.from('not a record'), Buffer.from('[99,"s"]\n'), Buffer.from('[1,"t",1]\nxx')]
      const sends = bodies.flatMap((body, index) => [
        { target: { to: 'task' as const, queue: 'default' }, id: `t${index}`, body },
        ...Array.from({ length: space.partitions }, (_, partition) => ({
          target: { to: 'inbox' as const, partition },
          id: `i${index}.${partition}`,
          body,
        })),
      ])
      for (const outcome of await space.send(sends)) assert.ok(outcome.ok)
      const runs = await Promise.all(Array.from({ length: 8 }, (_, value) => client.submit(task.send(value))))
      assert.deepEqual(
        await Promise.all(runs.map((run) => run.result({ timeoutMs: stage.patienceMs }))),
        [0, 1, 2, 3, 4, 5, 6, 7],
      )
      const letters = await eventually(stage.patienceMs, async () => {
        const list = await client.deadLetters.list()
        assert.equal(list.length, sends.length)
        return list
      })
      assert.ok(letters.every(({ reason }) => reason === 'undecodable'))
      assert.deepEqual(new Set(letters.map(({ body }) => Buffer.from(body).toString())), new Set(bodies.map(String)))
      await transport.close()
    },
  },
  {
    name: 'keeps a task that nobody knows for a while, then fails its pipeline and says so',
    because: 'a deploy rolls: a newer worker may know it in a minute, or never',
    lanes: ['local', 'queue'],
    async play(stage) {
      const old = createTasks({ namespace: stage.namespace })
      old.bind('known', () => 1)
      const newer = createTasks({ namespace: stage.namespace })
      const fresh = newer.bind('fresh', () => 'new')
      await stage.worker(old, { unknownTaskGraceMs: 60_000 })
      const client = await stage.client()
      const run = await client.submit(fresh.send())
      await later(100)
      const worker = await stage.worker(newer)
      assert.equal(await run.result({ timeoutMs: stage.patienceMs }), 'new')
      await worker.worker.close()
      await stage.worker(old, { unknownTaskGraceMs: 1 })
      const doomed = await client.submit(fresh.send())
      await assert.rejects(
        doomed.result({ timeoutMs: stage.patienceMs }),
        (error: unknown) => TaskError.is(error) && error.code === 'TASKS_UNKNOWN_TASK' && error.task?.name === 'fresh',
      )
      const [letter] = await client.deadLetters.list()
      assert.equal(letter?.reason, 'unknown-task')
      assert.equal(letter?.pipelineId, doomed.id)
      await assert.rejects(
        client.deadLetters.redrive(letter!.id),
        (error: unknown) => TaskError.is(error) && error.code === 'TASKS_UNSUPPORTED',
      )
    },
  },
]
