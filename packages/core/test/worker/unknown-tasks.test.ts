import { expect, test, vi } from 'vitest'
import { createTasks } from '../../src/tasks'
import { virtualClock } from '../../src/testing/virtual-clock'
import { NAMESPACE, system } from '../support/system'

// Enough on a machine that is busy with something else.
vi.setConfig({ testTimeout: 60_000 })

const GRACE_MS = 600_000
const HOUR_MS = 3_600_000

function deployment() {
  const clock = virtualClock()
  const { tasks, worker, client } = system({ clock })
  const added = tasks.bind('added', (value: number) => value)
  // What is deployed does not know it yet.
  const old = createTasks({ namespace: NAMESPACE })
  old.bind('other', () => 1)
  return { clock, added, worker, client, startOld: () => worker({ tasks: old, roles: ['worker'] }) }
}

test('a task that nobody here knows waits for its grace, however long it waited in its queue before', async () => {
  const { clock, added, worker, client, startOld } = deployment()
  await worker({ roles: ['owner'] })
  const submitter = client()
  const run = await submitter.submit(added, 1)
  const lone = await submitter.enqueue(added, 2, { reply: true })
  const results = Promise.all([run.result(), lone.result()])
  await clock.advance(HOUR_MS)
  const rolling = await startOld()
  await clock.advance(GRACE_MS / 2)
  expect(await submitter.deadLetters.list()).toEqual([])
  await worker()
  const closed = rolling.close()
  await clock.advance(60_000)
  await closed
  expect(await results).toEqual([1, 2])
})

test('a task that nobody here knows for longer than its grace becomes a dead letter, and fails its pipeline', async () => {
  const { clock, added, worker, client, startOld } = deployment()
  await worker({ roles: ['owner'] })
  const submitter = client()
  const run = await submitter.submit(added, 1)
  const failure = run.result().catch((error: unknown) => error)
  await clock.advance(HOUR_MS)
  await startOld()
  await clock.advance(GRACE_MS + 60_000)
  expect(await failure).toMatchObject({ code: 'TASKS_UNKNOWN_TASK' })
  expect((await submitter.deadLetters.list()).map(({ reason }) => reason)).toEqual(['unknown-task'])
})
