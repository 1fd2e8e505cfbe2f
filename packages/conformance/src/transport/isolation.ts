import assert from 'node:assert/strict'
import type { Bytes } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, commitOf, oddIds, text, toInbox, toTask } from '../content'

export const isolation: readonly ConformanceCase[] = [
  {
    name: 'keeps the tasks and inboxes of two namespaces apart',
    promise: 'isolation',
    because: 'two teams on one broker must not run each other’s tasks',
    run: staged(async (stage) => {
      const mine = await stage.open()
      const other = await stage.open({ namespace: `${stage.namespace}-2` })
      const [myOwner, otherOwner] = [stage.own(mine), stage.own(other)]
      const [mySession, otherSession] = [await myOwner.session(0), await otherOwner.session(0)]
      await mine.send([toTask('q', 'mine'), toInbox(0, 'mine')])
      assert.deepEqual(
        (await stage.poll(mySession, 1)).map((message) => message.id),
        ['mine'],
      )
      assert.deepEqual(await stage.surprises(stage.consume(other)), [], 'a task came out in another namespace')
      assert.deepEqual(await stage.unexpected(otherSession), [], 'an inbox message came out in another namespace')
      assert.equal(await other.backlog('q'), undefined)
      await stage.collect(stage.consume(mine), 1)
    }),
  },
  {
    name: 'keeps the rows, dead letters and blobs of two namespaces apart',
    promise: 'isolation',
    because: 'equal pipeline ids in two namespaces are two pipelines',
    run: staged(async (stage) => {
      const mine = await stage.open()
      const other = await stage.open({ namespace: `${stage.namespace}-2` })
      const [mySession, otherSession] = [await stage.own(mine).session(0), await stage.own(other).session(0)]
      await mySession.commit(commitOf(1, { rows: { 'e/r': 'mine' } }))
      await otherSession.commit(commitOf(1, { rows: { 'e/r': 'other' } }))
      assert.equal(text((await mySession.load(['e/r']))[0]), 'mine')
      assert.equal(text((await otherSession.load(['e/r']))[0]), 'other')
      const letter = { reason: 'failed', message: 'mine', source: 'q' }
      await mine.send([{ target: { to: 'dead', letter }, id: 'd', body: bytes('d') }])
      await mine.blobs.put('b', 0, bytes('mine'))
      assert.equal((await mine.dead.list({ limit: 10 })).length, 1)
      assert.deepEqual(await other.dead.list({ limit: 10 }), [], 'a dead letter is listed in another namespace')
      assert.equal(await other.blobs.get('b', 0), undefined, 'a blob is read in another namespace')
      await other.blobs.drop('')
      assert.equal(text(await mine.blobs.get('b', 0)), 'mine', 'a blob was dropped from another namespace')
    }),
  },
  {
    name: 'keeps the signals of two namespaces apart',
    promise: 'isolation',
    because: 'a cancelled run must not stop the run of the same id next door',
    run: staged(async (stage) => {
      const mine = await stage.open()
      const other = await stage.open({ namespace: `${stage.namespace}-2` })
      const heard = { mine: 0, other: 0 }
      mine.onSignal(() => void heard.mine++)
      other.onSignal(() => void heard.other++)
      await stage.eventually(async () => {
        await mine.signal(bytes('hey'))
        await stage.pause(5)
        assert.ok(heard.mine > 0, 'the signal was not heard at all')
      })
      await stage.quiet()
      assert.equal(heard.other, 0, 'a signal was heard in another namespace')
    }),
  },
  {
    name: 'takes namespaces, queues and ids with odd characters for what they are',
    promise: 'isolation',
    because: 'what is syntax to a broker (wildcards, separators, case) is a letter to a user',
    run: staged(async (stage) => {
      const names = [
        `${stage.namespace}.`,
        `${stage.namespace}/x`,
        `${stage.namespace} x`,
        `${stage.namespace}X`,
        `${stage.namespace}x`,
        `${stage.namespace}*`,
        `${stage.namespace}é`,
      ]
      const transport = await stage.connect()
      for (const namespace of names) {
        const space = await stage.open({ on: transport, namespace, partitions: 1 })
        await space.send([toTask('q', namespace)])
      }
      for (const namespace of names) {
        const space = await stage.open({ on: transport, namespace, partitions: 1 })
        const leases = await stage.collect(stage.consume(space), 1)
        assert.deepEqual(
          leases.map((lease) => lease.id),
          [namespace],
          'two namespaces are one',
        )
      }
      const space = await stage.open({ on: transport })
      const bodies = new Map<string, Bytes>(oddIds.map((id) => [id, bytes(`body of ${id}`)]))
      await space.send(oddIds.map((id) => toTask(`queue ${id}`, id, bodies.get(id)!)))
      for (const id of oddIds) {
        const [lease, ...others] = await stage.receive(stage.consume(space, `queue ${id}`))
        assert.deepEqual([lease?.id, others.length], [id, 0], `queue "${id}"`)
        assert.equal(lease!.queue, `queue ${id}`)
        assert.equal(text(lease!.body), `body of ${id}`)
      }
    }),
  },
]
