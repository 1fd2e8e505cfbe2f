import assert from 'node:assert/strict'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { commitOf, toInbox, toTask } from '../content'
import { within } from '../patience'

export const waits: readonly ConformanceCase[] = [
  {
    name: 'ends a receive that finds nothing, after its wait',
    promise: 'S9',
    because: 'a worker has more to do than to wait',
    run: staged(async (stage) => {
      const consumer = stage.consume(await stage.open())
      for (const waitMs of [0, 50]) {
        const receiving = consumer.receive({ max: 10, waitMs, suspects: true })
        assert.deepEqual(await within(waitMs + stage.eventuallyMs, 'receive', receiving), [])
      }
    }),
  },
  {
    name: 'ends a poll that finds nothing, after its wait',
    promise: 'S9',
    because: 'an owner has timers to look after',
    run: staged(async (stage) => {
      const session = await stage.own(await stage.open()).session(0)
      for (const waitMs of [0, 50]) {
        assert.deepEqual(await within(waitMs + stage.eventuallyMs, 'poll', session.poll({ max: 10, waitMs })), [])
      }
    }),
  },
  {
    name: 'waits as long as it was told to',
    promise: 'S9',
    because: 'a wait that returns at once makes an idle process burn a core',
    run: staged(async (stage) => {
      const space = await stage.open()
      const consumer = stage.consume(space)
      const session = await stage.own(space).session(0)
      const waitMs = 100
      const started = performance.now()
      await Promise.all([consumer.receive({ max: 10, waitMs, suspects: true }), session.poll({ max: 10, waitMs })])
      const received = performance.now() - started
      assert.ok(received >= waitMs * 0.8, `a wait of ${waitMs} ms ended after ${received}`)
      const again = performance.now()
      await session.poll({ max: 10, waitMs })
      assert.ok(
        performance.now() - again >= waitMs * 0.8,
        `a poll of ${waitMs} ms ended after ${performance.now() - again}`,
      )
    }),
  },
  {
    name: 'ends a receive that is cancelled with an empty batch, and loses nothing by it',
    promise: 'S9',
    because: 'whoever cancels has no hands left to take what comes',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const consumer = stage.consume(here)
      assert.deepEqual(await stage.receive(consumer, { signal: AbortSignal.abort() }), [], 'cancelled before it began')
      const held: string[] = []
      for (let i = 0; i < 20; i++) {
        const cancelling = new AbortController()
        const receiving = consumer.receive({
          max: 10,
          waitMs: stage.eventuallyMs * 4,
          suspects: false,
          signal: cancelling.signal,
        })
        const sending = there.send([toTask('q', `t${i}`)])
        // Before, while, and after the message is on its way.
        if (i % 4 > 0) await stage.pause(i % 4 === 3 ? 10 : 0)
        cancelling.abort()
        const batch = await within(stage.eventuallyMs, 'a cancelled receive', receiving)
        held.push(...batch.map(({ id }) => id))
        await sending
      }
      const cancelling = new AbortController()
      const idle = stage
        .consume(here, 'nothing')
        .receive({ max: 10, waitMs: stage.eventuallyMs * 4, suspects: false, signal: cancelling.signal })
      await stage.pause(5)
      cancelling.abort()
      assert.deepEqual(await within(stage.eventuallyMs, 'a cancelled receive', idle), [])
      if (held.length < 20) held.push(...(await stage.collect(consumer, 20 - held.length)).map(({ id }) => id))
      assert.equal(new Set(held).size, 20)
    }),
  },
  {
    name: 'ends a poll that is cancelled, and loses nothing by it',
    promise: 'S9',
    because: 'an owner cuts its wait short when a task of its own is done',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const session = await stage.own(here).session(0)
      const seen: string[] = []
      for (let i = 0; i < 20; i++) {
        const cancelling = new AbortController()
        const polling = session.poll({ max: 10, waitMs: stage.eventuallyMs * 4, signal: cancelling.signal })
        const sending = there.send([toInbox(0, `m${i}`)])
        if (i % 4 > 0) await stage.pause(i % 4 === 3 ? 10 : 0)
        cancelling.abort()
        const batch = await within(stage.eventuallyMs, 'a cancelled poll', polling)
        seen.push(...batch.map(({ id }) => id))
        await sending
      }
      const missing = 20 - new Set(seen).size
      if (missing > 0) seen.push(...(await stage.poll(session, missing)).map(({ id }) => id))
      assert.equal(new Set(seen).size, 20)
    }),
  },
  {
    name: 'holds up nothing else while it waits',
    promise: 'S9',
    because: 'an owner polls and commits at the same time, a worker receives and settles',
    run: staged(async (stage) => {
      const space = await stage.open()
      const session = await stage.own(space).session(0)
      const consumer = stage.consume(space, ['q', 'idle'])
      await space.send([toTask('q', 'a')])
      const [lease] = await stage.receive(consumer)
      const waitMs = stage.eventuallyMs * 10
      const cancelling = new AbortController()
      const waits = Promise.all([
        session.poll({ max: 1, waitMs, signal: cancelling.signal }),
        consumer.receive({ max: 1, waitMs, suspects: true, signal: cancelling.signal }),
      ])
      waits.catch(() => {})
      await stage.pause(5)
      const others = async (): Promise<void> => {
        await session.load(['e/a'])
        await session.commit(commitOf(1, { rows: { 'e/a': 'x' } }))
        await session.scan('e/', undefined, 1)
        await consumer.extend([lease!])
        await consumer.settle([{ lease: lease!, op: 'ack' }], [toTask('other', 'b')])
        await space.send([toTask('other', 'c')])
        await stage.collect(stage.consume(space, 'other'), 2)
        await space.backlog('q')
        await space.dead.list({ limit: 1 })
        await space.blobs.put('b', 0, new Uint8Array(1))
      }
      await within(stage.eventuallyMs, 'something beside a waiting poll and receive', others())
      cancelling.abort()
      assert.deepEqual(await within(stage.eventuallyMs, 'cancelled waits', waits), [[], []])
    }),
  },
]
