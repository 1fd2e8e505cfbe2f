import assert from 'node:assert/strict'
import type { Capabilities } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, commitOf, rejects, sameBytes, text, toInbox, toTask } from '../content'
import type { Stage } from '../stage'

function limitsOf(stage: Stage): Capabilities {
  return (stage.harness.small ?? stage.harness).capabilities
}

function body(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i % 253)
}

/** Rows whose values have `total` bytes together, none of them larger than a message. */
function rowsOf(total: number, limits: Capabilities): Record<string, Uint8Array> {
  const rows: Record<string, Uint8Array> = {}
  for (let left = total, i = 0; left > 0; left -= limits.maxMessageBytes, i++)
    rows[`e/${i}`] = body(Math.min(left, limits.maxMessageBytes))
  return rows
}

export const limits: readonly ConformanceCase[] = [
  {
    name: 'takes messages of the largest size, everywhere',
    promise: 'S8',
    because: 'the engine decides by this number what becomes a blob',
    requires: ['reachable limits'],
    run: staged(async (stage) => {
      const space = await stage.open({ small: true })
      const largest = body(limitsOf(stage).maxMessageBytes)
      const owner = stage.own(space)
      const zero = await owner.session(0)
      const consumer = stage.consume(space)
      assert.deepEqual(await space.send([toTask('q', 't', largest), toInbox(1, 'i', largest)]), [
        { ok: true },
        { ok: true },
      ])
      const [lease] = await stage.collect(consumer, 1)
      sameBytes(lease!.body, largest, 'the task')
      sameBytes((await stage.poll(await owner.session(1), 1))[0]!.body, largest, 'the inbox message')
      await zero.commit(commitOf(1, { sends: [toTask('q', 'c', largest)] }))
      const [committed] = await stage.collect(consumer, 1)
      sameBytes(committed!.body, largest, 'the task of a commit')
      await consumer.settle(
        [{ lease: committed!, op: 'dead', letter: { reason: 'failed', message: 'm', source: 'q' } }],
        [],
      )
      sameBytes((await space.dead.list({ limit: 1 }))[0]?.body, largest, 'the dead letter')
      await space.blobs.put('b', 0, largest)
      sameBytes(await space.blobs.get('b', 0), largest, 'the page of a blob')
    }),
  },
  {
    name: 'refuses larger messages in a send, for certain, and stores nothing of them',
    promise: 'S8',
    because: 'the sender makes a blob of it; a half-sent one cannot be told from a whole one',
    requires: ['reachable limits'],
    run: staged(async (stage) => {
      const space = await stage.open({ small: true })
      const session = await stage.own(space).session(0)
      const tooLarge = body(limitsOf(stage).maxMessageBytes + 1)
      const outcomes = await space.send([
        toTask('q', 'fits'),
        toTask('q', 'large', tooLarge),
        toInbox(0, 'large', tooLarge),
      ])
      for (const outcome of outcomes.slice(1)) {
        assert.ok(!outcome.ok, 'a message that is too large was taken')
        assert.equal(outcome.certain, true, 'a refusal is certain')
        assert.equal((outcome.error as { code?: string }).code, 'TASKS_TOO_LARGE')
      }
      const [first] = outcomes
      assert.ok(first!.ok || first!.certain, 'what fits is stored or not, for certain')
      assert.deepEqual(
        await stage.surprises(stage.consume(space)),
        first!.ok ? ['fits'] : [],
        'the outcomes are not true',
      )
      assert.deepEqual(await stage.unexpected(session), [])
    }),
  },
  {
    name: 'refuses a commit with a larger message, changes nothing, and goes on',
    promise: 'S8',
    because: 'core splits and tries again in the same session',
    requires: ['reachable limits'],
    run: staged(async (stage) => {
      const space = await stage.open({ small: true })
      const owner = stage.own(space)
      const session = await owner.session(0)
      await space.send([toInbox(0, 'i')])
      const [message] = await stage.poll(session, 1)
      const sends = [toTask('q', 'fits'), toTask('q', 'large', body(limitsOf(stage).maxMessageBytes + 1))]
      const commit = commitOf(1, { rows: { 'e/a': 'x' }, through: message!.position, sends })
      await rejects(() => session.commit(commit), 'TASKS_TOO_LARGE', 'a commit with a message that is too large')
      assert.deepEqual(await session.load(['e/a']), [undefined], 'a row of the refused commit is there')
      await session.commit(commitOf(1, { rows: { 'e/b': 'y' } }))
      assert.deepEqual(await stage.surprises(stage.consume(space)), [], 'a send of the refused commit was delivered')
      const next = await owner.next(0)
      assert.equal(next.seq, 1)
      assert.equal(text((await next.load(['e/b']))[0]), 'y')
      await stage.poll(next, 1)
    }),
  },
  {
    name: 'takes a commit of the largest size, and refuses a larger one',
    promise: 'S8',
    because: 'the engine fills commits up to this number',
    requires: ['reachable limits'],
    run: staged(async (stage) => {
      const space = await stage.open({ small: true })
      const session = await stage.own(space).session(0)
      const limits = limitsOf(stage)
      const send = toTask('q', 's', body(10))
      const largest = rowsOf(limits.maxCommitBytes - 10, limits)
      assert.ok(Object.keys(largest).length < limits.maxCommitItems, 'the limits of the harness contradict each other')
      await rejects(
        () => session.commit(commitOf(1, { rows: { ...largest, 'e/one more': body(1) }, sends: [send] })),
        'TASKS_TOO_LARGE',
        'a commit of one byte too many',
      )
      assert.deepEqual(await session.scan('e/', undefined, 1), [], 'a row of the refused commit is there')
      await session.commit(commitOf(1, { rows: largest, sends: [send] }))
      for (const [key, value] of Object.entries(largest)) sameBytes((await session.load([key]))[0], value, key)
      await stage.collect(stage.consume(space), 1)
    }),
  },
  {
    name: 'takes a commit of the most items, and refuses one more',
    promise: 'S8',
    because: 'the engine fills commits up to this number',
    requires: ['reachable limits'],
    run: staged(async (stage) => {
      const space = await stage.open({ small: true })
      const session = await stage.own(space).session(0)
      const items = limitsOf(stage).maxCommitItems
      const rows = Object.fromEntries(Array.from({ length: items - 2 }, (_, i) => [`e/${i}`, bytes('')]))
      const sends = [toTask('q', 'a', bytes('')), toTask('q', 'b', bytes(''))]
      await rejects(
        () => session.commit(commitOf(1, { rows: { ...rows, 'e/one more': null }, sends })),
        'TASKS_TOO_LARGE',
        'a commit of one item too many',
      )
      assert.deepEqual(await session.scan('e/', undefined, 1), [], 'a row of the refused commit is there')
      await session.commit(commitOf(1, { rows, sends }))
      assert.ok((await session.load([`e/${items - 3}`]))[0], 'the last row is missing')
      await stage.collect(stage.consume(space), 2)
    }),
  },
  {
    name: 'settles nothing when a send of the settlement is too large',
    promise: 'S8',
    because: 'acknowledged without its result, a task is lost',
    requires: ['reachable limits'],
    run: staged(async (stage) => {
      const space = await stage.open({ small: true })
      const consumer = stage.consume(space, 'q', stage.leaseMs)
      await space.send([toTask('q', 'a')])
      const [lease] = await stage.receive(consumer)
      const sends = [toTask('results', 'fits'), toTask('results', 'large', body(limitsOf(stage).maxMessageBytes + 1))]
      await rejects(
        () => consumer.settle([{ lease: lease!, op: 'ack' }], sends),
        'TASKS_TOO_LARGE',
        'a settlement with a send that is too large',
      )
      assert.deepEqual(await stage.surprises(stage.consume(space, 'results')), [], 'a send was made')
      await stage.pause(stage.leaseMs)
      await stage.collect(consumer, 1, { suspects: true })
    }),
  },
  {
    name: 'refuses a larger page of a blob',
    promise: 'S8',
    because: 'pages are messages on most brokers',
    requires: ['reachable limits'],
    run: staged(async (stage) => {
      const space = await stage.open({ small: true })
      const page = body(limitsOf(stage).maxMessageBytes + 1)
      await rejects(() => space.blobs.put('b', 0, page), 'TASKS_TOO_LARGE', 'a page that is too large')
      assert.equal(await space.blobs.get('b', 0), undefined)
      assert.deepEqual(await space.blobs.list({ limit: 10 }), [])
    }),
  },
]
