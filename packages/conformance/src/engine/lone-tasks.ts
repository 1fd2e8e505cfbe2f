import assert from 'node:assert/strict'
import { createTasks, TaskError } from '@tasks/core'
import { eventually } from '../patience'
import type { EngineCase } from './engine-case'

export const loneTasks: readonly EngineCase[] = [
  {
    name: 'runs each lone task once though it has no row',
    because: 'fire and forget must not mean forget',
    lanes: ['local', 'mixed'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const runs = new Map<number, number>()
      const note = tasks.bind('note', async (value: number) => {
        runs.set(value, (runs.get(value) ?? 0) + 1)
        return value + 1
      })
      await stage.workers(tasks, { concurrency: 20 })
      const client = await stage.client()
      await client.enqueueMany(
        note,
        Array.from({ length: 1_500 }, (_, index) => index),
      )
      const handle = await client.enqueue(note, 5_000, { reply: true })
      assert.equal(await handle.result({ timeoutMs: stage.patienceMs }), 5_001)
      await eventually(stage.patienceMs, () => assert.equal(runs.size, 1_501))
      assert.deepEqual(
        [...runs.values()].filter((count) => count !== 1),
        [],
      )
      const kept = await client.enqueue(note, 7_000, { id: 'kept' })
      assert.equal(await kept.result({ timeoutMs: stage.patienceMs }), 7_001)
      assert.equal((await client.status('kept'))?.status, 'COMPLETED')
    },
  },
  {
    name: 'retries a lone task by the clock of its owner, and keeps one that fails for good as a dead letter that can be redriven',
    because: 'a task that fails has nobody waiting to notice',
    lanes: ['local', 'mixed'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      let broken = true
      let starts = 0
      const retried = tasks.bind(
        'retried',
        (value: number) => {
          if (++starts < 3) throw new Error('not yet')
          return value
        },
        { retry: { maxRetries: 3, delayMs: 5 } },
      )
      const failing = tasks.bind('failing', (value: string) => {
        if (broken) throw new RangeError(`out of ${value}`)
        return value
      })
      const exhausted = tasks.bind(
        'exhausted',
        () => {
          throw new Error('always')
        },
        { retry: { maxRetries: 1, delayMs: 5 } },
      )
      await stage.workers(tasks)
      const client = await stage.client()
      assert.equal(await (await client.enqueue(retried, 1, { reply: true })).result({ timeoutMs: stage.patienceMs }), 1)
      assert.equal(starts, 3)
      const handle = await client.enqueue(failing, 'paper', { reply: true })
      await assert.rejects(
        handle.result({ timeoutMs: stage.patienceMs }),
        (error: unknown) => TaskError.is(error) && error.message === 'out of paper' && error.task?.name === 'failing',
      )
      await client.enqueue(exhausted.send())
      const letters = await eventually(stage.patienceMs, async () => {
        const list = await client.deadLetters.list()
        assert.equal(list.length, 2)
        return list
      })
      assert.deepEqual(letters.map(({ reason, task, error }) => [reason, task, error?.message]).sort(), [
        ['failed', 'exhausted', 'always'],
        ['failed', 'failing', 'out of paper'],
      ])
      broken = false
      const letter = letters.find(({ task }) => task === 'failing')!
      assert.equal((await client.deadLetters.get(letter.id)).message, 'out of paper')
      await client.deadLetters.redrive(letter.id)
      await eventually(stage.patienceMs, async () => assert.equal((await client.deadLetters.list()).length, 1))
      await client.deadLetters.drop(letters.find(({ task }) => task === 'exhausted')!.id)
      assert.deepEqual(await client.deadLetters.list(), [])
      await assert.rejects(
        client.deadLetters.drop(letter.id),
        (error: unknown) => TaskError.is(error) && error.code === 'TASKS_NOT_FOUND',
      )
    },
  },
]
