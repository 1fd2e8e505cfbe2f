import assert from 'node:assert/strict'
import type { PartitionSession, Space } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { commitOf, rejects, text, toTask } from '../content'
import type { Stage } from '../stage'

/** A commit of `old`, which would be the next one, is refused, and nothing of it is ever seen. */
async function assertFenced(
  stage: Stage,
  space: Space,
  old: PartitionSession,
  current: PartitionSession,
): Promise<void> {
  const stale = commitOf(current.seq + 1, { rows: { 'e/a': 'stale' }, sends: [toTask('stale', 's')] })
  await rejects(() => old.commit(stale), 'TASKS_FENCED', 'the commit of an earlier claim')
  assert.equal(text((await current.load(['e/a']))[0]), 'first', 'the stale commit changed a row')
  await current.commit(commitOf(current.seq + 1, { rows: { 'e/a': 'second' } }))
  await rejects(
    () => old.commit({ ...stale, seq: current.seq + 2 }),
    'TASKS_FENCED',
    'the commit of an earlier claim after one of the current',
  )
  assert.equal(text((await current.load(['e/a']))[0]), 'second', 'the stale commit changed a row')
  assert.deepEqual(await stage.surprises(stage.consume(space, 'stale')), [], 'a send of the stale commit was delivered')
}

export const fencing: readonly ConformanceCase[] = [
  {
    name: 'refuses the commits of a session whose partition was claimed again by the same host',
    promise: 'S2',
    because: 'a handler that was left behind goes on in the same process',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const old = await owner.session(0)
      await old.commit(commitOf(1, { rows: { 'e/a': 'first' } }))
      await assertFenced(stage, space, old, await owner.next(0))
    }),
  },
  {
    name: 'refuses the commits of a host whose partition another host has',
    promise: 'S2',
    because: 'an owner that has been relieved would overwrite what its successor wrote',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const first = stage.own(here)
      const old = await first.session(0)
      await old.commit(commitOf(1, { rows: { 'e/a': 'first' } }))
      await first.stop()
      const current = await stage.own(there).session(0)
      await assertFenced(stage, there, old, current)
    }),
  },
  {
    name: 'is fenced before the new owner is called',
    promise: 'S2',
    because: 'the new owner reads its state at once; a commit that lands after that is lost',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const first = stage.own(here)
      const old = await first.session(0)
      await old.commit(commitOf(1, { rows: { 'e/a': 'first' } }))
      await first.stop()
      let refusal: Promise<void> | undefined
      const second = stage.own(there, {
        onOwned(session) {
          if (session.partition !== 0) return
          refusal ??= rejects(
            () => old.commit(commitOf(2, { rows: { 'e/a': 'stale' } })),
            'TASKS_FENCED',
            'a commit after the new owner was called',
          )
          refusal.catch(() => {})
        },
      })
      const current = await second.session(0)
      await stage.eventually(() => assert.ok(refusal))
      await refusal
      assert.equal(text((await current.load(['e/a']))[0]), 'first')
    }),
  },
  {
    name: 'refuses the commits of an owner that was stopped for longer than its lease',
    promise: 'S2',
    because: 'a process that was suspended wakes up and goes on where it was, with a clock that tells it nothing',
    requires: ['stall'],
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const first = stage.own(here, { leaseMs: stage.leaseMs, stuck: true })
      const old = await first.session(0)
      await old.commit(commitOf(1, { rows: { 'e/a': 'first' } }))
      const resume = stage.harness.stall!(stage.transportOf(here))
      const second = stage.own(there, { leaseMs: stage.longMs })
      await stage.pause(stage.leaseMs)
      const current = await second.session(0)
      await assertFenced(stage, there, old, current)
      resume()
      await stage.eventually(() => assert.ok(old.lost.aborted, 'the old session was never told that it is over'))
    }),
  },
  {
    name: 'names every claim apart, with growing epochs',
    promise: 'S2',
    because: 'ids of sends start with the claim: a name used twice drops a new send as a duplicate',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const first = stage.own(here)
      const sessions = [await first.session(0), await first.next(0), await first.next(0)]
      await first.stop()
      const second = stage.own(there)
      sessions.push(await second.session(0), await second.next(0))
      for (const { claim, epoch } of sessions)
        assert.match(claim, new RegExp(`^${epoch}-.+`), `claim ${claim} of epoch ${epoch}`)
      const epochs = sessions.map((session) => session.epoch)
      assert.deepEqual(
        epochs,
        [...new Set(epochs)].sort((a, b) => a - b),
        'epochs do not grow',
      )
      assert.equal(
        new Set(sessions.map(({ claim }) => claim.slice(claim.indexOf('-')))).size,
        5,
        'a nonce was used twice',
      )
    }),
  },
  {
    name: 'ends a session whose commit was refused',
    promise: 'S2',
    because: 'what it goes on to do is built on state that is not there',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open())
      const session = await owner.session(0)
      await session.commit(commitOf(1))
      await rejects(() => session.commit(commitOf(5)), 'TASKS_FENCED', 'a gap')
      await rejects(() => session.commit(commitOf(2)), 'TASKS_FENCED', 'the right commit, after the session was over')
      assert.equal((await owner.next(0)).seq, 1)
    }),
  },
]
