import { inParallel, TaskError } from '@tasks/core'
import { expect, test } from 'vitest'
import { clientOf } from './support/client'
import { newPath } from './support/folder'
import { echo, poison } from './support/tasks'
import { supervise } from './support/worker-process'

const MAX_DELIVERIES = 5
/** Five processes are started one after the other, on a machine that may be busy. */
const PATIENCE_MS = 180_000

test.each([
  ['process.exit', 'handed over by its owner', 'exit', true],
  ['process.exit', 'taken from the queue', 'exit', false],
  ['kill -9', 'handed over by its owner', 'kill', true],
  ['kill -9', 'taken from the queue', 'kill', false],
] as const)(
  'of 1,000 children one kills its process by %s, %s: it becomes a dead letter, and the others end well',
  async (_, __, how, localLane) => {
    const path = newPath()
    const client = clientOf(path)
    const children = Array.from({ length: 1_000 }, (___, index) =>
      index === 500 ? poison.send(how) : echo.send(index),
    )
    const run = await client.submit(inParallel(children, { returnExceptions: true }))
    const supervisor = await supervise(path, { leaseMs: 1_000, localLane, maxDeliveries: MAX_DELIVERIES })
    const results = await run.result({ timeoutMs: PATIENCE_MS })

    const [failure, ...more] = results.filter((result) => TaskError.is(result))
    expect(more).toEqual([])
    expect(failure).toMatchObject({ code: 'TASKS_MAX_DELIVERIES', task: { name: 'poison', id: `${run.id}/0.500/0` } })
    expect(results.filter((result) => !TaskError.is(result))).toEqual(
      Array.from({ length: 1_000 }, (___, index) => index).filter((index) => index !== 500),
    )
    expect(await run.status()).toMatchObject({ status: 'COMPLETED', tasks: 1_000, done: 999 })
    expect(supervisor.deaths).toBeGreaterThan(0)
    expect(supervisor.deaths).toBeLessThanOrEqual(MAX_DELIVERIES)
    const letters = await client.deadLetters.list()
    expect(letters).toMatchObject([{ reason: 'max-deliveries', task: 'poison', pipelineId: run.id, source: 'default' }])
  },
  2 * PATIENCE_MS,
)

test(
  'a group that waits for all fails with the one that was given up, and its pipeline can be told why',
  async () => {
    const path = newPath()
    const client = clientOf(path)
    const children = Array.from({ length: 100 }, (_, index) => (index === 7 ? poison.send('exit') : echo.send(index)))
    const run = await client.submit(inParallel(children).continueWith(echo.send(1)))
    const supervisor = await supervise(path, { leaseMs: 1_000, maxDeliveries: 3 })
    const error = (await run.result({ timeoutMs: PATIENCE_MS }).catch((thrown: unknown) => thrown)) as TaskError
    expect([error.code, error.errorCount]).toEqual(['TASKS_GROUP_FAILED', 1])
    expect(error.errors![0]).toMatchObject({ code: 'TASKS_MAX_DELIVERIES', task: { name: 'poison' } })
    expect(supervisor.deaths).toBeLessThanOrEqual(3)
    expect(await run.status()).toMatchObject({ status: 'FAILED', done: 99 })
  },
  2 * PATIENCE_MS,
)
