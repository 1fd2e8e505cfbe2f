import assert from 'node:assert/strict'
import type { Bytes, Send, Space } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, commitOf, oddBodies, rejects, sameBytes, toEvents, toInbox, toTask } from '../content'
import type { Stage } from '../stage'

/** One send to each kind of target, and how to see that they came. */
async function everywhere(stage: Stage, space: Space) {
  const heard: Bytes[] = []
  const { address } = await space.replies((body) => void heard.push(body))
  const letter = { reason: 'failed', message: 'because', source: 'q' }
  const sends: Send[] = [
    toTask('q', 'task'),
    toInbox(0, 'inbox 0'),
    toInbox(1, 'inbox 1'),
    toEvents(1, 'event'),
    { target: { to: 'reply', address }, id: 'reply', body: bytes('reply') },
    { target: { to: 'dead', letter }, id: 'dead', body: bytes('dead') },
  ]
  const arrived = async (zero: Parameters<Stage['poll']>[0], one: Parameters<Stage['poll']>[0]): Promise<void> => {
    const [lease] = await stage.collect(stage.consume(space), 1)
    assert.equal(lease!.id, 'task')
    assert.deepEqual(
      (await stage.poll(zero, 1)).map(({ id }) => id),
      ['inbox 0'],
    )
    assert.deepEqual(
      (await stage.poll(one, 1)).map(({ id }) => id),
      ['inbox 1'],
    )
    assert.deepEqual(
      (await stage.events(space, 1, 1)).map(({ id }) => id),
      ['event'],
    )
    const [dead] = await stage.eventually(async () => {
      const letters = await space.dead.list({ limit: 10 })
      assert.equal(letters.length, 1, 'the dead letter did not come')
      return letters
    })
    sameBytes(dead!.body, bytes('dead'), 'the dead letter')
    assert.deepEqual(dead!.info, letter)
    await stage.eventually(() => assert.equal(heard.length, 1, 'the reply did not come'))
    sameBytes(heard[0], bytes('reply'), 'the reply')
  }
  return { sends, arrived }
}

export const sends: readonly ConformanceCase[] = [
  {
    name: 'delivers the sends of a commit to every kind of target',
    promise: 'S5',
    because: 'a pipeline dispatches tasks, tells its parent, answers its client and buries its dead, in one commit',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const [zero, one] = [await owner.session(0), await owner.session(1)]
      const { sends, arrived } = await everywhere(stage, space)
      await zero.commit(commitOf(1, { sends }))
      await arrived(zero, one)
    }),
  },
  {
    name: 'delivers sends outside a commit to every kind of target',
    promise: 'S5',
    because: 'clients submit, and workers answer, without owning anything',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const { sends, arrived } = await everywhere(stage, space)
      const outcomes = await (await stage.open()).send(sends)
      assert.deepEqual(
        outcomes,
        sends.map(() => ({ ok: true })),
      )
      await arrived(await owner.session(0), await owner.session(1))
    }),
  },
  {
    name: 'delivers none of the sends of a commit that failed',
    promise: 'S5',
    because: 'a task of a transition that did not happen would run',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const old = await owner.session(0)
      const sends = (tag: string): Send[] => [
        toTask('q', `${tag} task`),
        toInbox(1, `${tag} inbox`),
        { target: { to: 'dead', letter: { reason: 'failed', message: tag, source: 'q' } }, id: tag, body: bytes(tag) },
      ]
      await rejects(() => old.commit(commitOf(9, { sends: sends('gap') })), 'TASKS_FENCED', 'a gap')
      const current = await owner.next(0)
      await rejects(() => old.commit(commitOf(1, { sends: sends('stale') })), 'TASKS_FENCED', 'a stale commit')
      assert.deepEqual(await stage.surprises(stage.consume(space)), [], 'tasks came')
      assert.deepEqual(await stage.unexpected(await owner.session(1)), [], 'inbox messages came')
      assert.deepEqual(await space.dead.list({ limit: 10 }), [], 'dead letters came')
      await current.commit(commitOf(1, { sends: [toTask('q', 'good')] }))
      await stage.collect(stage.consume(space), 1)
    }),
  },
  {
    name: 'delivers all of 1,000 sends of a few commits',
    promise: 'S5',
    because: 'a group of thousands is dispatched in windows of hundreds',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const [zero, one] = [await owner.session(0), await owner.session(1)]
      const size = Math.min(250, stage.harness.capabilities.maxCommitItems)
      const all = Array.from({ length: 1000 }, (_, i) =>
        i % 2 === 0 ? toTask(`q${i % 3}`, `t${i}`) : toInbox(1, `i${i}`),
      )
      for (let seq = 1; (seq - 1) * size < all.length; seq++)
        await zero.commit(commitOf(seq, { sends: all.slice((seq - 1) * size, seq * size) }))
      const tasks = await stage.collect(stage.consume(space, ['q0', 'q1', 'q2']), 500)
      const messages = await stage.poll(one, 500)
      const came = new Set([...tasks, ...messages].map(({ id }) => id))
      assert.deepEqual(
        all.map(({ id }) => id).filter((id) => !came.has(id)),
        [],
      )
    }),
  },
  {
    name: 'delivers the sends of a commit as they were, byte for byte',
    promise: 'S5',
    because: 'payloads are encrypted and compressed; the id is what a receiver recognises repeats by',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const zero = await owner.session(0)
      await zero.commit(
        commitOf(1, {
          sends: oddBodies.flatMap((body, i) => [toTask('q', `1-x.${i} é/`, body), toInbox(1, `1-x.${i} é/`, body)]),
        }),
      )
      const tasks = await stage.collect(stage.consume(space), oddBodies.length)
      const messages = await stage.poll(await owner.session(1), oddBodies.length)
      oddBodies.forEach((body, i) => {
        sameBytes(tasks.find((lease) => lease.id === `1-x.${i} é/`)?.body, body, `task ${i}`)
        sameBytes(messages.find((message) => message.id === `1-x.${i} é/`)?.body, body, `inbox message ${i}`)
      })
    }),
  },
  {
    name: 'delivers the sends of a commit whose owner died right after it',
    promise: 'S5',
    because: 'committed means dispatched, even when the process that would have relayed it is gone',
    requires: ['crash'],
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const session = await stage.own(here, { leaseMs: stage.leaseMs }).session(0)
      await session.commit(commitOf(1, { sends: [toTask('q', 't'), toInbox(1, 'i')] }))
      await stage.harness.crash!(stage.transportOf(here))
      const owner = stage.own(there)
      await stage.pause(stage.leaseMs)
      await stage.poll(await owner.session(1), 1)
      await stage.collect(stage.consume(there), 1, { suspects: true })
    }),
  },
]
