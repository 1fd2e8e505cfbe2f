import assert from 'node:assert/strict'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { commitOf, oddBodies, sameBytes, toInbox } from '../content'

export const inbox: readonly ConformanceCase[] = [
  {
    name: 'brings every acknowledged send into the inbox',
    promise: 'S6',
    because: 'a submit that was answered is a promise to its caller',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const owner = stage.own(here)
      const sendAll = async (from: typeof here, tag: string): Promise<string[]> => {
        const ids: string[] = []
        for (let i = 0; i < 10; i++) {
          const batch = Array.from({ length: 60 }, (_, k) => toInbox(k % 2, `${tag}${i}.${k}`))
          const outcomes = await from.send(batch)
          assert.equal(outcomes.length, batch.length)
          ids.push(...batch.filter((_, k) => outcomes[k]!.ok).map(({ id }) => id))
        }
        return ids
      }
      const sent = (await Promise.all([sendAll(here, 'h'), sendAll(there, 't')])).flat()
      assert.equal(sent.length, 1200, 'sends failed for no reason')
      const came = [
        ...(await stage.poll(await owner.session(0), 600)),
        ...(await stage.poll(await owner.session(1), 600)),
      ]
      const ids = new Set(came.map(({ id }) => id))
      assert.deepEqual(
        sent.filter((id) => !ids.has(id)),
        [],
      )
    }),
  },
  {
    name: 'keeps inbox messages until somebody owns the partition',
    promise: 'S6',
    because: 'clients submit while every worker is down',
    run: staged(async (stage) => {
      const client = await stage.open()
      await client.send(['a', 'b', 'c'].map((id) => toInbox(1, id)))
      await stage.transportOf(client).close()
      const session = await stage.own(await stage.open()).session(1)
      assert.deepEqual((await stage.poll(session, 3)).map(({ id }) => id).sort(), ['a', 'b', 'c'])
    }),
  },
  {
    name: 'wakes a poll that waits',
    promise: 'S6',
    because: 'a chain of fifty steps is fifty of these waits',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const session = await stage.own(here).session(0)
      for (const from of [here, there]) {
        const started = performance.now()
        const polling = session.poll({ max: 10, waitMs: stage.eventuallyMs * 2 })
        await stage.pause(20)
        await from.send([toInbox(0, 'wake')])
        assert.deepEqual(
          (await polling).map(({ id }) => id),
          ['wake'],
        )
        assert.ok(performance.now() - started < stage.eventuallyMs, 'the poll waited on although there was a message')
      }
    }),
  },
  {
    name: 'polls no more than was asked for',
    promise: 'S6',
    because: 'the size of a batch bounds the size of a commit',
    run: staged(async (stage) => {
      const space = await stage.open()
      const session = await stage.own(space).session(0)
      await space.send(Array.from({ length: 20 }, (_, i) => toInbox(0, `m${i}`)))
      let seen = 0
      await stage.until(
        '20 messages have come',
        () => seen >= 20,
        async () => {
          const batch = await session.poll({ max: 7, waitMs: 50 })
          assert.ok(batch.length <= 7, `7 were asked for, ${batch.length} came`)
          seen += batch.length
        },
      )
    }),
  },
  {
    name: 'brings each message into its own partition',
    promise: 'S6',
    because: 'the state that a message belongs to is nowhere else',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const [zero, one] = [await owner.session(0), await owner.session(1)]
      await zero.commit(commitOf(1, { sends: [toInbox(0, 'to itself'), toInbox(1, 'to the other')] }))
      await space.send([toInbox(0, 'zero'), toInbox(1, 'one')])
      assert.deepEqual((await stage.poll(zero, 2)).map(({ id }) => id).sort(), ['to itself', 'zero'])
      assert.deepEqual((await stage.poll(one, 2)).map(({ id }) => id).sort(), ['one', 'to the other'])
    }),
  },
  {
    name: 'brings ids and bodies into the inbox byte for byte',
    promise: 'S6',
    because: 'the reducer decodes them',
    run: staged(async (stage) => {
      const space = await stage.open()
      const session = await stage.own(space).session(0)
      await space.send(oddBodies.map((body, i) => toInbox(0, `id ${i} é/*`, body)))
      const messages = await stage.poll(session, oddBodies.length)
      oddBodies.forEach((body, i) =>
        sameBytes(messages.find(({ id }) => id === `id ${i} é/*`)?.body, body, `message ${i}`),
      )
    }),
  },
]
