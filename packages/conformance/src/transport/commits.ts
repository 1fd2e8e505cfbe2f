import assert from 'node:assert/strict'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, commitOf, oddBodies, rejects, sameBytes, text, toInbox, toTask } from '../content'

export const commits: readonly ConformanceCase[] = [
  {
    name: 'applies the rows, consumed messages and sends of a commit together',
    promise: 'S1',
    because: 'a transition without its dispatch hangs, a dispatch without its transition runs twice',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const session = await owner.session(0)
      await space.send([toInbox(0, 'i1'), toInbox(0, 'i2'), toInbox(0, 'i3')])
      const polled = await stage.poll(session, 3)
      await session.commit(
        commitOf(1, {
          rows: { 'e/a': 'A', 'e/b': 'B', 'f/c': 'C' },
          through: polled[1]!.position,
          sends: [toTask('q', 't1'), toTask('q', 't2')],
        }),
      )
      assert.deepEqual((await session.load(['e/a', 'e/b', 'f/c'])).map(text), ['A', 'B', 'C'], 'rows are missing')
      await stage.collect(stage.consume(space), 2)
      const next = await owner.next(0)
      assert.deepEqual(
        (await next.load(['e/a', 'e/b', 'f/c'])).map(text),
        ['A', 'B', 'C'],
        'rows are missing in the next session',
      )
      assert.deepEqual(
        (await stage.poll(next, 1)).map((message) => message.id),
        [polled[2]!.id],
        'what was consumed came again',
      )
    }),
  },
  {
    name: 'changes nothing when a commit is refused',
    promise: 'S1',
    because: 'half a transition is a state that no program can be in',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const session = await owner.session(0)
      await space.send([toInbox(0, 'i1')])
      await session.commit(commitOf(1, { rows: { 'e/a': 'kept', 'e/b': 'kept' } }))
      const [message] = await stage.poll(session, 1)
      const refused = commitOf(3, {
        rows: { 'e/a': 'changed', 'e/b': null, 'e/c': 'new' },
        through: message!.position,
        sends: [toTask('q', 't1')],
      })
      await rejects(() => session.commit(refused), 'TASKS_FENCED', 'a commit out of sequence')
      const next = await owner.next(0)
      assert.equal(next.seq, 1)
      assert.deepEqual(
        (await next.load(['e/a', 'e/b', 'e/c'])).map(text),
        ['kept', 'kept', undefined],
        'rows of the refused commit were applied',
      )
      assert.deepEqual(
        (await stage.poll(next, 1)).map(({ id }) => id),
        ['i1'],
        'the refused commit consumed a message',
      )
      assert.deepEqual(await stage.surprises(stage.consume(space)), [], 'a send of the refused commit was delivered')
    }),
  },
  {
    name: 'refuses a commit that takes a row to be new which is there, and goes on',
    promise: 'S1',
    because: 'a submit that comes twice would take the place of the run that it began',
    requires: ['checks absent'],
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const session = await owner.session(0)
      await session.commit(commitOf(1, { rows: { 'e/old': 'kept', 'e/gone': 'x' }, absent: ['e/old', 'e/gone'] }))
      await session.commit(commitOf(2, { rows: { 'e/gone': null } }))
      const refused = commitOf(3, {
        rows: { 'e/old': 'changed', 'e/new': 'new' },
        absent: ['e/new', 'e/old'],
        sends: [toTask('q', 'refused')],
      })
      await rejects(() => session.commit(refused), 'TASKS_ROW_EXISTS', 'a commit whose row is there')
      assert.deepEqual((await session.load(['e/old', 'e/new'])).map(text), ['kept', undefined])
      const { absent: _, ...rest } = refused
      await session.commit({ ...rest, sends: [toTask('q', 'taken')] })
      await session.commit(commitOf(4, { rows: { 'e/gone': 'again' }, absent: ['e/gone', 'e/never'] }))
      const next = await owner.next(0)
      assert.deepEqual((await next.load(['e/old', 'e/new', 'e/gone'])).map(text), ['changed', 'new', 'again'])
      const [sent] = await stage.collect(stage.consume(space), 1)
      assert.equal(sent!.id, 'taken', 'a send of the refused commit was delivered')
    }),
  },
  {
    name: 'shows a commit to load and scan once it has resolved',
    promise: 'S1',
    because: 'the next batch is folded onto what the last one wrote',
    run: staged(async (stage) => {
      const session = await stage.own(await stage.open()).session(0)
      for (let seq = 1; seq <= 20; seq++) {
        await session.commit(
          commitOf(seq, { rows: { 'e/n': String(seq), [`f/${String(seq).padStart(3, '0')}`]: 'x' } }),
        )
        assert.equal(text((await session.load(['e/n']))[0]), String(seq), 'load is behind')
        assert.equal((await session.scan('f/', undefined, 100)).length, seq, 'scan is behind')
      }
    }),
  },
  {
    name: 'deletes a row with null, and writes it anew later',
    promise: 'S1',
    because: 'finished pipelines must go, and their ids may come back',
    run: staged(async (stage) => {
      const session = await stage.own(await stage.open()).session(0)
      await session.commit(commitOf(1, { rows: { 'e/a': '1', 'e/b': '1' } }))
      await session.commit(commitOf(2, { rows: { 'e/a': null, 'e/never': null } }))
      assert.deepEqual((await session.load(['e/a', 'e/b'])).map(text), [undefined, '1'], 'the deleted row is there')
      assert.deepEqual(
        (await session.scan('e/', undefined, 10)).map(([key]) => key),
        ['e/b'],
        'scan shows the deleted row',
      )
      await session.commit(commitOf(3, { rows: { 'e/a': '3' } }))
      assert.deepEqual(
        (await session.scan('e/', undefined, 10)).map(([key, value]) => [key, text(value)]),
        [
          ['e/a', '3'],
          ['e/b', '1'],
        ],
      )
    }),
  },
  {
    name: 'consumes nothing when a commit names no position',
    promise: 'S1',
    because: 'the engine commits work of its own before it has folded what it polled',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const session = await owner.session(0)
      await space.send([toInbox(0, 'i1'), toInbox(0, 'i2')])
      const polled = await stage.poll(session, 2)
      await session.commit(commitOf(1, { through: polled[0]!.position }))
      await session.commit(commitOf(2, { rows: { 'e/a': 'x' } }))
      const next = await owner.next(0)
      assert.deepEqual(
        (await stage.poll(next, 1)).map(({ id }) => id),
        [polled[1]!.id],
      )
    }),
  },
  {
    name: 'takes a commit with nothing in it',
    promise: 'S1',
    because: 'time alone is a transition: the clock of a partition is kept by empty commits',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open())
      const session = await owner.session(0)
      await session.commit(commitOf(1))
      await session.commit(commitOf(2, { time: 777 }))
      const next = await owner.next(0)
      assert.deepEqual([next.seq, next.time], [2, 777])
    }),
  },
  {
    name: 'keeps row values byte for byte',
    promise: 'S1',
    because: 'rows are compressed, encrypted, or bitmaps; none of them is text',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open())
      const session = await owner.session(0)
      const rows = Object.fromEntries(oddBodies.map((body, i) => [`e/${i}`, body]))
      await session.commit(commitOf(1, { rows }))
      const next = await owner.next(0)
      const loaded = await next.load(Object.keys(rows))
      const scanned = new Map(await next.scan('e/', undefined, 100))
      oddBodies.forEach((body, i) => {
        sameBytes(loaded[i], body, `value ${i} of load`)
        sameBytes(scanned.get(`e/${i}`), body, `value ${i} of scan`)
      })
    }),
  },
  {
    name: 'keeps what was stored when callers change their buffers afterwards',
    promise: 'S1',
    because: 'buffers are pooled and used again; history must not change with them',
    run: staged(async (stage) => {
      const space = await stage.open()
      const session = await stage.own(space).session(0)
      const [row, task, message] = [bytes('row'), bytes('task'), bytes('message')]
      await session.commit(commitOf(1, { rows: { 'e/a': row }, sends: [toTask('q', 't', task)] }))
      await space.send([toInbox(0, 'i', message)])
      for (const body of [row, task, message]) body.fill(0)
      const [loaded] = await session.load(['e/a'])
      assert.equal(text(loaded), 'row')
      loaded!.fill(0)
      assert.equal(text((await session.load(['e/a']))[0]), 'row', 'a loaded value is the stored one')
      const [[, scanned]] = (await session.scan('e/', undefined, 1)) as [readonly [string, Uint8Array]]
      scanned.fill(0)
      assert.equal(text((await session.scan('e/', undefined, 1))[0]?.[1]), 'row', 'a scanned value is the stored one')
      assert.equal(text((await stage.poll(session, 1))[0]!.body), 'message')
      const consumer = stage.consume(space)
      const [lease] = await stage.receive(consumer)
      assert.equal(text(lease!.body), 'task')
      lease!.body.fill(0)
      await consumer.settle([{ lease: lease!, op: 'return', delayMs: 0 }], [])
      assert.equal(text((await stage.receive(consumer))[0]!.body), 'task', 'a received body is the stored one')
    }),
  },
  {
    name: 'keeps apart what is committed and sent at the same time',
    promise: 'S1',
    because: 'adapters write many commits at once; one that is refused must not take its neighbours with it',
    run: staged(async (stage) => {
      const space = await stage.open({ partitions: 4 })
      const owner = stage.own(space)
      const sessions = await Promise.all([0, 1, 2, 3].map((partition) => owner.session(partition)))
      for (let seq = 1; seq <= 10; seq++) {
        await Promise.all(
          sessions
            .slice(0, 3)
            .map((session, p) =>
              session.commit(commitOf(seq, { rows: { 'e/n': `${p} ${seq}` }, sends: [toTask('q', `${p} ${seq}`)] })),
            ),
        )
      }
      const tooLarge = new Uint8Array(stage.harness.capabilities.maxMessageBytes + 1)
      const [good, gap, alsoGood, large, sent] = await Promise.allSettled([
        sessions[0]!.commit(commitOf(11, { rows: { 'e/n': 'good' }, sends: [toTask('q', 'good')] })),
        sessions[1]!.commit(commitOf(99, { rows: { 'e/n': 'gap' }, sends: [toTask('bad', 'gap')] })),
        sessions[2]!.commit(commitOf(11, { rows: { 'e/n': 'also good' }, sends: [toTask('q', 'also good')] })),
        sessions[3]!.commit(commitOf(1, { rows: { 'e/n': 'large' }, sends: [toTask('bad', 'large', tooLarge)] })),
        space.send([toTask('q', 'sent')]),
      ])
      const statuses = [good, gap, alsoGood, large, sent].map(({ status }) => status)
      assert.deepEqual(statuses, ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'])
      assert.equal((gap as PromiseRejectedResult).reason.code, 'TASKS_FENCED')
      assert.equal((large as PromiseRejectedResult).reason.code, 'TASKS_TOO_LARGE')
      await stage.collect(stage.consume(space), 33)
      assert.deepEqual(await stage.surprises(stage.consume(space, 'bad')), [])
      const values = [sessions[0]!, await owner.next(1), sessions[2]!, sessions[3]!].map(async (session) =>
        text((await session.load(['e/n']))[0]),
      )
      assert.deepEqual(await Promise.all(values), ['good', '1 10', 'also good', undefined])
    }),
  },
]
