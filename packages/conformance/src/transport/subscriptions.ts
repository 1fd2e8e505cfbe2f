import assert from 'node:assert/strict'
import type { EventSubscription, Space } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { rejects, toEvents } from '../content'
import type { Stage } from '../stage'
import { within } from '../patience'

const BEGINNING = [undefined, undefined]

function join(stage: Stage, space: Space, leaseMs = stage.longMs): Promise<EventSubscription> {
  return space.events.subscribe({ name: 'audit log/1', from: BEGINNING, leaseMs })
}

async function fill(space: Space, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await space.send([toEvents(i % 2, `e${i}`)])
}

const idsOf = (events: readonly { readonly id: string }[]): string[] => events.map(({ id }) => id)

export const subscriptions: readonly ConformanceCase[] = [
  {
    name: 'shares the events of a subscription among its members, in order',
    promise: 'events',
    because: 'two processes that send mail for events must not send it twice',
    run: staged(async (stage) => {
      const spaces = [await stage.open(), await stage.open()]
      const members = await Promise.all(spaces.map((space) => join(stage, space)))
      await fill(spaces[0]!, 60)
      const seen: string[][] = [[], []]
      let count = 0
      const work = async (member: EventSubscription): Promise<void> => {
        const until = performance.now() + stage.eventuallyMs
        while (count < 60 && performance.now() < until) {
          const page = await within(stage.eventuallyMs, 'a receive', member.receive({ max: 5, waitMs: 20 }))
          if (page === undefined) continue
          assert.ok(page.events.length <= 5, `5 were asked for, ${page.events.length} came`)
          seen[page.partition]!.push(...idsOf(page.events))
          count += page.events.length
          await member.settle(page)
        }
      }
      await Promise.all(members.map(work))
      const of = (partition: number): string[] => Array.from({ length: 30 }, (_, i) => `e${2 * i + partition}`)
      assert.deepEqual(seen, [of(0), of(1)])
    }),
  },
  {
    name: 'holds a page for one member until it is settled',
    promise: 'events',
    because: 'what follows an event must not be seen before it',
    run: staged(async (stage) => {
      const [one, two] = [await join(stage, await stage.open()), await join(stage, await stage.open())]
      const space = await stage.open()
      await space.send([toEvents(0, 'a')])
      const page = await stage.page(one)
      await space.send([toEvents(0, 'b')])
      assert.equal(await two.receive({ max: 10, waitMs: stage.settleMs }), undefined, 'it went to two members')
      const waiting = two.receive({ max: 10, waitMs: stage.eventuallyMs })
      await one.settle(page)
      assert.deepEqual(idsOf((await within(stage.eventuallyMs * 2, 'a receive', waiting))?.events ?? []), ['b'])
    }),
  },
  {
    name: 'goes on where the subscription was, when nobody has been there',
    promise: 'events',
    because: 'a deploy stops all members for a while',
    run: staged(async (stage) => {
      const space = await stage.open()
      const member = await join(stage, space)
      await space.send([toEvents(0, 'a')])
      await member.settle(await stage.page(member))
      await member.close()
      await stage.transportOf(space).close()
      const later = await stage.open()
      await later.send([toEvents(0, 'b')])
      assert.deepEqual(idsOf((await stage.page(await join(stage, later))).events), ['b'])
    }),
  },
  {
    name: 'hands out again what was not settled, once its lease has run out',
    promise: 'events',
    because: 'the process that was handling it may be dead',
    run: staged(async (stage) => {
      const space = await stage.open()
      const there = await stage.open()
      const [stuck, other] = [await join(stage, space, stage.leaseMs), await join(stage, there, stage.leaseMs)]
      await space.send([toEvents(0, 'a')])
      const page = await stage.page(stuck)
      assert.deepEqual(idsOf((await stage.page(other)).events), ['a'])
      // Too late: it is somebody else's.
      await stuck.settle(page)
      await other.close()
      assert.deepEqual(idsOf((await stage.page(stuck)).events), ['a'], 'a stale settlement counted')
    }),
  },
  {
    name: 'hands out again what a member held that is gone',
    promise: 'events',
    because: 'a killed process settles nothing',
    requires: ['crash'],
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const dead = await join(stage, here, stage.leaseMs)
      await here.send([toEvents(0, 'a')])
      await stage.page(dead)
      await stage.harness.crash!(stage.transportOf(here))
      assert.deepEqual(idsOf((await stage.page(await join(stage, there, stage.leaseMs))).events), ['a'])
    }),
  },
  {
    name: 'holds a page that is extended',
    promise: 'events',
    because: 'a handler may take longer than a lease',
    run: staged(async (stage) => {
      const space = await stage.open()
      const [busy, other] = [await join(stage, space, stage.leaseMs), await join(stage, await stage.open())]
      await space.send([toEvents(0, 'a')])
      const page = await stage.page(busy)
      const until = performance.now() + 3 * stage.leaseMs
      let stolen = false
      while (performance.now() < until && !stolen) {
        await busy.extend(page)
        stolen = (await other.receive({ max: 1, waitMs: stage.leaseMs / 5 })) !== undefined
      }
      assert.ok(!stolen, 'another member got it')
      await busy.settle(page)
    }),
  },
  {
    name: 'lets go of what a member holds when it closes',
    promise: 'events',
    because: 'a deploy is not to cost a lease',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const [one, two] = [await join(stage, here), await join(stage, there)]
      await here.send([toEvents(0, 'a')])
      await stage.page(one)
      const waiting = two.receive({ max: 10, waitMs: stage.eventuallyMs })
      await Promise.all([one.close(), one.close()])
      assert.deepEqual(idsOf((await within(stage.eventuallyMs * 2, 'a receive', waiting))?.events ?? []), ['a'])
      await rejects(() => one.receive({ max: 1, waitMs: 0 }), 'TASKS_CLOSED', 'a receive of a closed member')
    }),
  },
  {
    name: 'begins a new subscription where it was told to, and a known one where it is',
    promise: 'events',
    because: 'a second process joins with the same line of code',
    run: staged(async (stage) => {
      const space = await stage.open()
      await space.send([toEvents(0, 'old')])
      await stage.events(space, 0, 1)
      const from = await space.events.positions()
      await space.events.subscribe({ name: 'new', from, leaseMs: stage.longMs })
      await space.send([toEvents(0, 'next')])
      const second = await space.events.subscribe({ name: 'new', from: BEGINNING, leaseMs: stage.longMs })
      assert.deepEqual(idsOf((await stage.page(second)).events), ['next'])
      await second.close()
      await space.events.forget('new')
      const again = await space.events.subscribe({ name: 'new', from: BEGINNING, leaseMs: stage.longMs })
      assert.deepEqual(idsOf((await stage.page(again)).events), ['old', 'next'])
    }),
  },
  {
    name: 'keeps subscriptions apart',
    promise: 'events',
    because: 'each of them has to see everything',
    run: staged(async (stage) => {
      const space = await stage.open()
      const other = await stage.open({ namespace: `${stage.namespace}-2` })
      const members = await Promise.all(
        [
          [space, 'a'],
          [space, 'a:b'],
          [space, 'a%3Ab'],
          [other, 'a'],
        ].map(([on, name]) =>
          (on as Space).events.subscribe({ name: name as string, from: BEGINNING, leaseMs: stage.longMs }),
        ),
      )
      await space.send([toEvents(0, 'x')])
      await other.send([toEvents(0, 'y')])
      const pages = await Promise.all(members.map((member) => stage.page(member)))
      assert.deepEqual(
        pages.map(({ events }) => idsOf(events)),
        [['x'], ['x'], ['x'], ['y']],
      )
    }),
  },
]
