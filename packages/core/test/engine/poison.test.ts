import { expect, test } from 'vitest'
import { partitionOf } from '../../src/ids'
import { NAMESPACE, PATIENCE_MS, eventually, system } from '../support/system'
import { Kind, NONE } from '../../src/value'
import { decodeInbox, encodeInbox, type Outcome } from '../../src/wire/inbox-message'
import { decodeTask } from '../../src/wire/task-message'

const waiting = { timeoutMs: PATIENCE_MS }

test('an outcome that cannot be folded fails its own entry, and those that came with it count', async () => {
  const { tasks, worker, client, connect } = system()
  const echo = tasks.bind('echo', (value: number) => value)
  await worker({ roles: ['owner'] })
  const submitter = client()
  const space = await connect().open({ namespace: NAMESPACE })
  const ids = Array.from({ length: 1_000 }, (_, index) => `p${index}`).filter(
    (id) => partitionOf(id, space.partitions) === 1,
  )
  const runs = await Promise.all(ids.slice(0, 9).map((id) => submitter.submit(echo, 1, { id })))
  const consumer = space.consume({ queues: ['default'], leaseMs: 60_000 })
  const outcomes: Outcome[] = []
  await eventually(async () => {
    for (const { body } of await consumer.receive({ max: 100, waitMs: 0, suspects: false })) {
      const { id, run, path, attempt } = decodeTask(body, '')
      // What names itself a pipeline and is none.
      const value = id === ids[5] ? { kind: Kind.pipeline, bytes: new Uint8Array(3) } : NONE
      outcomes.push({ id, run, path, attempt, value })
    }
    expect(outcomes.length).toBe(runs.length)
  })
  const body = encodeInbox({ type: 'outcomes', outcomes })
  await space.send([{ target: { to: 'inbox', partition: 1 }, id: 'bundle', body }])
  const ends = await Promise.allSettled(runs.map((run) => run.result(waiting)))
  expect(ends.map(({ status }) => status === 'fulfilled')).toEqual(ids.slice(0, 9).map((_, index) => index !== 5))
  expect(ends[5]).toMatchObject({ reason: { code: 'TASKS_DEAD_LETTERED' } })
  const letters = await space.dead.list({ limit: 100 })
  expect(letters.map(({ info }) => info.reason)).toEqual(['undecodable'])
  expect(decodeInbox(letters[0]!.body)).toMatchObject({ type: 'outcomes', outcomes: [{ id: ids[5] }] })
})
