import assert from 'node:assert/strict'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { commitOf, toInbox } from '../content'
import type { Owner } from '../owner'
import { within } from '../patience'

function ownedBy(...owners: Owner[]): number[] {
  return owners.flatMap((owner) => owner.owned()).sort((a, b) => a - b)
}

export const ownership: readonly ConformanceCase[] = [
  {
    name: 'gives every partition to a host that is alone, each once',
    promise: 'ownership',
    because: 'a partition without an owner stands still',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open({ partitions: 5 }))
      await stage.eventually(() => assert.deepEqual(owner.owned(), [0, 1, 2, 3, 4]))
      await stage.quiet()
      assert.deepEqual(owner.owned(), [0, 1, 2, 3, 4])
      assert.deepEqual(owner.overlaps, [], 'a partition had two sessions at once')
      assert.equal(owner.sessions.length, 5)
    }),
  },
  {
    name: 'shares the partitions among hosts',
    promise: 'ownership',
    because: 'a second process is started to take half of the work',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open({ partitions: 4 }), await stage.open({ partitions: 4 })]
      const first = stage.own(here, { leaseMs: stage.leaseMs })
      await stage.eventually(() => assert.equal(first.owned().length, 4))
      const second = stage.own(there, { leaseMs: stage.leaseMs })
      await stage.eventually(() => {
        assert.deepEqual([first.owned().length, second.owned().length], [2, 2])
        assert.deepEqual(ownedBy(first, second), [0, 1, 2, 3])
      })
      await stage.pause(stage.leaseMs)
      assert.deepEqual(ownedBy(first, second), [0, 1, 2, 3], 'it does not stay so')
      assert.deepEqual([...first.overlaps, ...second.overlaps], [])
    }),
  },
  {
    name: 'hands over what a host that stops had, without waiting for its lease',
    promise: 'ownership',
    because: 'a deploy must not stop the world for a lease',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open({ partitions: 4 }), await stage.open({ partitions: 4 })]
      const leaseMs = stage.eventuallyMs * 10
      const first = stage.own(here, { leaseMs })
      await stage.eventually(() => assert.equal(first.owned().length, 4))
      const second = stage.own(there, { leaseMs })
      await stage.quiet()
      await within(stage.eventuallyMs, 'the end of the first host', first.stop())
      await stage.eventually(() => assert.deepEqual(second.owned(), [0, 1, 2, 3]))
    }),
  },
  {
    name: 'hands over what a connection that is closed had, without waiting for its lease',
    promise: 'ownership',
    because: 'a process that ends in any other way than by a crash gives back what it has',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const leaseMs = stage.eventuallyMs * 10
      const first = stage.own(here, { leaseMs })
      const old = await first.session(0)
      await stage.transportOf(here).close()
      const second = stage.own(there, { leaseMs })
      await stage.eventually(() => assert.deepEqual(second.owned(), [0, 1]))
      await stage.eventually(() => assert.ok(old.lost.aborted, 'the old session was never told that it is over'))
      await within(
        stage.eventuallyMs,
        'run, on a closed connection',
        first.ended.catch(() => {}),
      )
    }),
  },
  {
    name: 'takes over what a dead process had, when its lease has run out',
    promise: 'ownership',
    because: 'processes die',
    requires: ['crash'],
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const first = stage.own(here, { leaseMs: stage.leaseMs })
      await (await first.session(0)).commit(commitOf(1))
      await here.send([toInbox(0, 'i')])
      const second = stage.own(there, { leaseMs: stage.leaseMs })
      await stage.harness.crash!(stage.transportOf(here))
      await stage.pause(stage.leaseMs)
      await stage.eventually(() => assert.deepEqual(second.owned(), [0, 1]))
      const session = await second.session(0)
      assert.equal(session.seq, 1)
      await stage.poll(session, 1)
      await session.commit(commitOf(2))
    }),
  },
  {
    name: 'releases a partition as soon as its handler has ended, and claims again',
    promise: 'ownership',
    because: 'an owner that has to start over (fenced, or not sure) drops its session and gets a new one',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open(), { leaseMs: stage.eventuallyMs * 10 })
      const first = await owner.session(0)
      const second = await owner.next(0)
      assert.notEqual(first.claim, second.claim)
      assert.deepEqual(owner.overlaps, [])
      await second.commit(commitOf(1))
    }),
  },
  {
    name: 'goes on when a handler rejects',
    promise: 'ownership',
    because: 'a bug in one partition must not stop the others',
    run: staged(async (stage) => {
      let failures = 0
      const owner = stage.own(await stage.open(), {
        onOwned(session) {
          if (session.partition === 0 && failures++ === 0) throw new Error('a bug')
        },
      })
      await stage.eventually(() => assert.equal(owner.sessions.filter(({ partition }) => partition === 0).length, 2))
      await (await owner.session(1)).commit(commitOf(1))
      await within(stage.eventuallyMs, 'the end of the host', owner.stop())
    }),
  },
  {
    name: 'tells its sessions when it is to stop, and ends with the last of them',
    promise: 'ownership',
    because: 'a commit in flight is finished, and nothing runs on after a close has resolved',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open(), { stuck: true })
      const [zero, one] = [await owner.session(0), await owner.session(1)]
      let ended = false
      void owner.ended.then(() => (ended = true))
      assert.ok(!zero.lost.aborted && !one.lost.aborted)
      void owner.stop()
      await stage.eventually(() => assert.ok(zero.lost.aborted && one.lost.aborted, 'the sessions were not told'))
      await zero.commit(commitOf(1))
      owner.finish(0)
      await stage.quiet()
      assert.ok(!ended, 'run resolved while a handler was running')
      owner.finish(1)
      await within(stage.eventuallyMs, 'the end of the host', owner.ended)
    }),
  },
  {
    name: 'never gives a host two sessions of a partition at once',
    promise: 'ownership',
    because: 'two handlers in one process would share its caches and lanes',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open({ partitions: 4 }), await stage.open({ partitions: 4 })]
      const first = stage.own(here, { leaseMs: stage.leaseMs, stuck: true })
      await stage.eventually(() => assert.equal(first.owned().length, 4))
      const second = stage.own(there, { leaseMs: stage.leaseMs })
      // Told to give back two of them, its handlers go on; then it might have them again.
      await stage.eventually(() => assert.equal(first.sessions.filter(({ lost }) => lost.aborted).length, 2))
      await stage.quiet()
      await within(stage.eventuallyMs, 'the end of the second host', second.stop())
      await stage.pause(stage.leaseMs * 2)
      assert.deepEqual(first.overlaps, [])
      for (const { partition, lost } of first.sessions) if (lost.aborted) first.finish(partition)
      await stage.eventually(() => assert.equal(first.sessions.length, 6, 'they were not claimed again'))
      assert.deepEqual(first.overlaps, [])
    }),
  },
]
