import assert from 'node:assert/strict'
import { TaskError } from '@tasks/core/adapter'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { commitOf, rejects, text, toInbox, toTask } from '../content'
import type { Unknown } from '../harness'
import { within } from '../patience'

export const sequence: readonly ConformanceCase[] = [
  {
    name: 'gives a repeated sequence number no second effect',
    promise: 'S3',
    because: 'client libraries send again what they have not heard of',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const session = await owner.session(0)
      await session.commit(commitOf(1, { rows: { 'e/a': '1' }, sends: [toTask('q', 'once')] }))
      const repeated = session.commit(commitOf(1, { rows: { 'e/a': '2' }, sends: [toTask('again', 'twice')] }))
      await repeated.catch((error) => assert.ok(TaskError.is(error) && error.code === 'TASKS_FENCED', String(error)))
      const next = await owner.next(0)
      assert.equal(next.seq, 1, 'the repeated commit was counted')
      assert.equal(text((await next.load(['e/a']))[0]), '1', 'the repeated commit was applied')
      assert.deepEqual(
        await stage.surprises(stage.consume(space, 'again')),
        [],
        'the sends of the repeated commit were made',
      )
    }),
  },
  {
    name: 'refuses a sequence number that does not follow',
    promise: 'S3',
    because: 'a gap is a commit that was lost; going on would hide it',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open())
      await (await owner.session(0)).commit(commitOf(1))
      await (await owner.session(0)).commit(commitOf(2))
      for (const seq of [4, 1, 0, 100]) {
        const session = await owner.session(0)
        await rejects(
          () => session.commit(commitOf(seq, { rows: { 'e/a': 'x' } })),
          'TASKS_FENCED',
          `commit ${seq} after 2`,
        )
        const next = await owner.next(0)
        assert.equal(next.seq, 2)
        assert.equal((await next.load(['e/a']))[0], undefined)
      }
    }),
  },
  {
    name: 'counts commits over all sessions and hosts',
    promise: 'S3',
    because: 'the number is how a lost commit is told from one that was made',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const first = stage.own(here)
      assert.equal((await first.session(0)).seq, 0)
      await (await first.session(0)).commit(commitOf(1))
      await (await first.session(0)).commit(commitOf(2))
      const again = await first.next(0)
      assert.equal(again.seq, 2)
      await again.commit(commitOf(3))
      await first.stop()
      const session = await stage.own(there).session(0)
      assert.equal(session.seq, 3)
      await session.commit(commitOf(4))
    }),
  },
  ...(['lost', 'unanswered'] as const).map((fault: Unknown): ConformanceCase => ({
    name: `applies a commit that is ${fault} wholly or not at all, and says which`,
    promise: 'S3',
    because: 'the answer to a commit gets lost once in a while, and nobody may act twice or never because of it',
    requires: ['faults.commit'],
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const session = await owner.session(0)
      await space.send([toInbox(0, 'i')])
      const [message] = await stage.poll(session, 1)
      stage.harness.faults!.commit!(stage.transportOf(space), fault)
      const commit = session.commit(
        commitOf(1, { rows: { 'e/a': 'x' }, through: message!.position, sends: [toTask('q', 't')] }),
      )
      const resolved = await within(stage.eventuallyMs * 2, 'a commit', commit).then(
        () => true,
        (error) => {
          assert.ok(
            TaskError.is(error) && ['TASKS_UNAVAILABLE', 'TASKS_FENCED'].includes(error.code),
            `not a typed error: ${String(error)}`,
          )
          if (error.code === 'TASKS_FENCED') assert.equal(fault, 'lost', 'a commit that was applied was called refused')
          return false
        },
      )
      const next = await owner.next(0)
      if (resolved) assert.equal(next.seq, 1, 'a commit was called applied that was not')
      const applied = next.seq === 1
      assert.equal(
        text((await next.load(['e/a']))[0]),
        applied ? 'x' : undefined,
        `seq is ${next.seq}, and the row does not agree`,
      )
      const consumer = stage.consume(space)
      if (applied) {
        await stage.collect(consumer, 1)
        assert.deepEqual(await stage.unexpected(next), [], 'applied, and what it consumed came again')
      } else {
        assert.deepEqual(await stage.surprises(consumer), [], 'not applied, and a send was delivered')
        await stage.poll(next, 1)
      }
      await next.commit(commitOf(next.seq + 1))
    }),
  })),
]
