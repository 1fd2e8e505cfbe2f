import assert from 'node:assert/strict'
import type { Space } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, commitOf, oddBodies, rejects, sameBytes, toEvents } from '../content'
import { within } from '../patience'

/** Sends one after the other: sends of their own have no order. */
async function sendInOrder(space: Space, partition: number, names: readonly string[]): Promise<void> {
  for (const name of names) assert.deepEqual(await space.send([toEvents(partition, name)]), [{ ok: true }])
}

function names(tag: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${tag}${i}`)
}

const idsOf = (events: readonly { readonly id: string }[]): string[] => events.map(({ id }) => id)

export const events: readonly ConformanceCase[] = [
  {
    name: 'keeps events byte for byte, for everybody, any number of times',
    promise: 'events',
    because: 'a dashboard, an auditor and a pager all read the same log',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const session = await stage.own(here).session(0)
      await session.commit(commitOf(1, { sends: oddBodies.map((body, i) => toEvents(0, `1-x.${i} é/`, body)) }))
      await here.send([toEvents(1, 'plain', oddBodies[4])])
      for (const space of [here, there, there]) {
        const read = await stage.events(space, 0, oddBodies.length)
        oddBodies.forEach((body, i) => sameBytes(read.find(({ id }) => id === `1-x.${i} é/`)?.body, body, `event ${i}`))
        sameBytes((await stage.events(space, 1, 1))[0]!.body, oddBodies[4]!, 'the event of a send')
      }
    }),
  },
  {
    name: 'reads events in the order of their commits, page by page',
    promise: 'events',
    because: 'a subscriber that hears of the end before the beginning shows nonsense',
    run: staged(async (stage) => {
      const space = await stage.open()
      const session = await stage.own(space).session(0)
      const all = names('e', 30)
      for (let seq = 1; seq <= 10; seq++)
        await session.commit(commitOf(seq, { sends: all.slice(3 * seq - 3, 3 * seq).map((id) => toEvents(0, id)) }))
      const read = idsOf(await stage.events(await stage.open(), 0, 30, undefined, 7))
      assert.deepEqual([...new Set(read)], all)
    }),
  },
  {
    name: 'keeps no event of a commit that failed',
    promise: 'events',
    because: 'an event that was never true cannot be taken back',
    run: staged(async (stage) => {
      const space = await stage.open()
      const session = await stage.own(space).session(0)
      await rejects(() => session.commit(commitOf(9, { sends: [toEvents(0, 'never')] })), 'TASKS_FENCED', 'a gap')
      await sendInOrder(space, 0, ['true'])
      assert.deepEqual(idsOf(await stage.events(space, 0, 1)), ['true'])
    }),
  },
  {
    name: 'goes on after a position, on any connection',
    promise: 'events',
    because: 'a subscriber that was down is to miss nothing and to see little twice',
    run: staged(async (stage) => {
      const here = await stage.open()
      await sendInOrder(here, 0, names('e', 10))
      const first = await stage.events(here, 0, 10)
      const { position } = first.find(({ id }) => id === 'e3')!
      await stage.transportOf(here).close()
      const there = await stage.open()
      assert.deepEqual([...new Set(idsOf(await stage.events(there, 0, 6, position)))], names('e', 10).slice(4))
      await sendInOrder(there, 0, ['later'])
      const rest = await stage.events(there, 0, 1, first.at(-1)!.position)
      assert.deepEqual([...new Set(idsOf(rest))], ['later'])
    }),
  },
  {
    name: 'reads several logs at once, and no more than was asked for',
    promise: 'events',
    because: 'a subscriber of a namespace has one wait for all of its partitions',
    run: staged(async (stage) => {
      const space = await stage.open()
      await space.send([0, 1].flatMap((partition) => names(`p${partition}.`, 10).map((id) => toEvents(partition, id))))
      await stage.events(space, 0, 10)
      await stage.events(space, 1, 10)
      const seen = new Set<string>()
      const after: Record<number, string | undefined> = { 0: undefined, 1: undefined }
      await stage.until(
        '20 events have come',
        () => seen.size >= 20,
        async () => {
          const pages = await stage.readEvents(space, after, { max: 7 })
          const count = pages.reduce((sum, page) => sum + page.events.length, 0)
          assert.ok(count <= 7, `7 were asked for, ${count} came`)
          for (const page of pages) {
            after[page.partition] = page.position
            for (const { id } of page.events) {
              assert.ok(id.startsWith(`p${page.partition}.`), `${id} came from partition ${page.partition}`)
              seen.add(id)
            }
          }
        },
      )
    }),
  },
  {
    name: 'knows where a log ends',
    promise: 'events',
    because: 'who asks for what is new does not want the week before',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      assert.equal((await here.events.positions()).length, here.partitions)
      const empty = await here.events.positions()
      await sendInOrder(there, 0, ['old 1', 'old 2'])
      await stage.events(here, 0, 2)
      const end = await here.events.positions()
      await sendInOrder(there, 0, ['new'])
      assert.deepEqual([...new Set(idsOf(await stage.events(here, 0, 1, end[0])))], ['new'])
      assert.equal(new Set(idsOf(await stage.events(here, 0, 3, empty[0]))).size, 3)
    }),
  },
  {
    name: 'finds the place of a time',
    promise: 'events',
    because: '"since this morning" is how people ask',
    run: staged(async (stage) => {
      const space = await stage.open()
      await sendInOrder(space, 0, ['before'])
      // Further apart than clocks of different resolution.
      await stage.pause(30)
      const since = await space.now()
      await stage.pause(30)
      await sendInOrder(space, 0, ['after 1', 'after 2'])
      await stage.events(space, 0, 3)
      const [place] = await space.events.positions(since)
      assert.deepEqual([...new Set(idsOf(await stage.events(space, 0, 2, place)))], ['after 1', 'after 2'])
      const [beginning] = await space.events.positions(0)
      assert.equal(new Set(idsOf(await stage.events(space, 0, 3, beginning))).size, 3)
    }),
  },
  {
    name: 'wakes a read of events that waits',
    promise: 'events',
    because: 'a person follows a pipeline live',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const session = await stage.own(there).session(1)
      const reading = async (send: () => Promise<unknown>): Promise<string[]> => {
        const [zero, one] = await here.events.positions()
        const started = performance.now()
        const pages = stage.readEvents(here, { 0: zero, 1: one }, { waitMs: stage.eventuallyMs * 2 })
        await stage.pause(20)
        await send()
        const read = (await pages).flatMap((page) => idsOf(page.events))
        assert.ok(performance.now() - started < stage.eventuallyMs, 'the read waited on although there was an event')
        return read
      }
      assert.deepEqual(await reading(() => here.send([toEvents(0, 'sent here')])), ['sent here'])
      assert.deepEqual(await reading(() => there.send([toEvents(1, 'sent there')])), ['sent there'])
      const commit = commitOf(1, { sends: [toEvents(0, 'committed')] })
      assert.deepEqual(await reading(() => session.commit(commit)), ['committed'])
    }),
  },
  {
    name: 'ends a read of events that finds nothing, or is cancelled',
    promise: 'events',
    because: 'whoever closes a subscription does not wait for the next event',
    run: staged(async (stage) => {
      const space = await stage.open()
      assert.deepEqual(await stage.readEvents(space, { 0: undefined, 1: undefined }, { waitMs: 0 }), [])
      assert.deepEqual(await stage.readEvents(space, { 0: undefined }, { waitMs: 50 }), [])
      const cancelling = new AbortController()
      const reading = stage.readEvents(
        space,
        { 0: undefined },
        { waitMs: stage.eventuallyMs * 4, signal: cancelling.signal },
      )
      await stage.pause(10)
      cancelling.abort()
      assert.deepEqual(await within(stage.eventuallyMs, 'a cancelled read', reading), [])
    }),
  },
  {
    name: 'keeps as many events as retention asks for',
    promise: 'events',
    because: 'what somebody missed is there until retention ends',
    run: staged(async (stage) => {
      const space = await stage.open({ retention: { maxAgeMs: 3_600_000, maxBytes: 1_000_000 } })
      const session = await stage.own(space).session(0)
      const body = bytes('x'.repeat(1000))
      for (let seq = 1; seq <= 10; seq++)
        await session.commit(commitOf(seq, { sends: names(`${seq}.`, 40).map((id) => toEvents(0, id, body)) }))
      await stage.events(space, 0, 400)
    }),
  },
  {
    name: 'says where retention has dropped something',
    promise: 'events',
    because: 'a reader that was too slow has to know that it saw not everything',
    requires: ['retention'],
    run: staged(async (stage) => {
      const space = await stage.open({ retention: { maxBytes: 5000 } })
      const [before] = await space.events.positions()
      const [slow, quick] = await Promise.all(
        ['slow', 'quick'].map((name) =>
          space.events.subscribe({ name, from: [before, before], leaseMs: stage.longMs }),
        ),
      )
      const body = bytes('x'.repeat(1000))
      await space.send([toEvents(0, 'first', body)])
      const [first] = await stage.events(space, 0, 1)
      await quick!.settle(await stage.page(quick!))
      for (const id of names('e', 10)) await space.send([toEvents(0, id, body)])
      await stage.eventually(async () => {
        const [page] = await stage.readEvents(space, { 0: first!.position })
        assert.equal(page?.gap, true, 'nothing was said of what is gone')
        assert.equal(page.events.at(-1)?.id, 'e9', 'the newest event is not there')
        assert.ok(page.events.length < 10, 'nothing is gone')
      })
      const [oldest] = await stage.readEvents(space, { 0: undefined })
      assert.equal(oldest!.gap, false, 'there is no gap before what is asked for from the beginning')
      const [next] = await stage.readEvents(space, { 0: oldest!.events[0]!.position })
      assert.equal(next!.gap, false, 'events that follow each other have no gap')
      assert.equal((await stage.page(slow!)).gap, true, 'the subscription was not told')
      assert.equal((await stage.page(quick!)).gap, true, 'the subscription was not told')
    }),
  },
  {
    name: 'drops events that are too old',
    promise: 'events',
    because: 'a log that only grows fills the disk',
    requires: ['retention'],
    run: staged(async (stage) => {
      const space = await stage.open({ retention: { maxAgeMs: 50 } })
      await sendInOrder(space, 0, ['old'])
      await stage.pause(100)
      await sendInOrder(space, 0, ['new'])
      assert.deepEqual(idsOf(await stage.events(space, 0, 1)), ['new'])
    }),
  },
  {
    name: 'keeps events while the broker is restarted',
    promise: 'events',
    because: 'what has happened has happened',
    requires: ['restartBroker'],
    run: staged(async (stage) => {
      const before = await stage.open()
      const name = 'audit'
      await sendInOrder(before, 0, ['a', 'b'])
      const [first] = await stage.events(before, 0, 2)
      const member = await before.events.subscribe({ name, from: [undefined, undefined], leaseMs: stage.leaseMs })
      await member.settle(await stage.page(member, 1))
      await stage.harness.restartBroker!()
      const after = await stage.eventually(() => stage.open())
      await stage.eventually(() => sendInOrder(after, 0, ['c']))
      assert.deepEqual([...new Set(idsOf(await stage.events(after, 0, 2, first!.position)))], ['b', 'c'])
      const again = await after.events.subscribe({ name, from: [undefined, undefined], leaseMs: stage.longMs })
      assert.equal((await stage.page(again)).events[0]!.id, 'b')
    }),
  },
]
