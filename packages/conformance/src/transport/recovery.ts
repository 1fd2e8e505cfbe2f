import assert from 'node:assert/strict'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { commitOf, oddIds, shuffled, text, toInbox, toTask } from '../content'

export const recovery: readonly ConformanceCase[] = [
  {
    name: 'gives a new session exactly what was committed',
    promise: 'S4',
    because: 'an owner that dies is replaced by one that knows nothing but this',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const first = stage.own(here)
      const session = await first.session(0)
      assert.deepEqual([session.seq, session.time], [0, 0], 'a partition does not start at 0')
      await session.commit(commitOf(1, { time: 500, rows: { 'e/a': '1', 'e/b': '1', 'f/c': '1' } }))
      await session.commit(commitOf(2, { time: 700, rows: { 'e/a': '2', 'f/c': null, 'g/d': '2' } }))
      await first.stop()
      const next = await stage.own(there).session(0)
      assert.deepEqual([next.seq, next.time], [2, 700])
      assert.deepEqual((await next.load(['e/a', 'e/b', 'f/c', 'g/d'])).map(text), ['2', '1', undefined, '2'])
      assert.deepEqual(
        (await next.scan('e/', undefined, 10)).map(([key, value]) => [key, text(value)]),
        [
          ['e/a', '2'],
          ['e/b', '1'],
        ],
      )
      assert.deepEqual(await next.scan('f/', undefined, 10), [])
    }),
  },
  {
    name: 'polls from the last committed position in a new session',
    promise: 'S4',
    because: 'what was read and not committed was not done; what was committed was',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const first = stage.own(here)
      const session = await first.session(0)
      await here.send(['a', 'b', 'c', 'd', 'e'].map((id) => toInbox(0, id)))
      const polled = await stage.poll(session, 5)
      await session.commit(commitOf(1, { through: polled[1]!.position }))
      await session.commit(commitOf(2, { through: polled[2]!.position }))
      const left = polled.slice(3).map(({ id }) => id)
      const again = await first.next(0)
      assert.deepEqual((await stage.poll(again, 2)).map(({ id }) => id).sort(), [...left].sort(), 'in the same host')
      await first.stop()
      const next = await stage.own(there).session(0)
      assert.deepEqual((await stage.poll(next, 2)).map(({ id }) => id).sort(), [...left].sort(), 'in another host')
      assert.deepEqual(await stage.unexpected(next), [])
    }),
  },
  {
    name: 'goes on in a session where its last poll ended',
    promise: 'S4',
    because: 'commits lag behind polls; a batch that comes twice is folded twice',
    run: staged(async (stage) => {
      const space = await stage.open()
      const session = await stage.own(space).session(0)
      const ids = Array.from({ length: 25 }, (_, i) => `m${i}`)
      await space.send(ids.map((id) => toInbox(0, id)))
      const polled = await stage.poll(session, 25, 4)
      assert.deepEqual(polled.map(({ id }) => id).sort(), [...ids].sort(), 'a message came twice')
      await space.send([toInbox(0, 'later')])
      assert.deepEqual(
        (await stage.poll(session, 1)).map(({ id }) => id),
        ['later'],
      )
      assert.equal(new Set(polled.map(({ position }) => position)).size, 25, 'two messages have one position')
    }),
  },
  {
    name: 'loads rows in the order they were asked for',
    promise: 'S4',
    because: 'the engine reads a whole batch at once and takes the answers by their place',
    run: staged(async (stage) => {
      const session = await stage.own(await stage.open()).session(0)
      await session.commit(commitOf(1, { rows: { 'e/a': 'A', 'e/b': 'B', 'f/a': 'FA' } }))
      const loaded = await session.load(['f/a', 'e/none', 'e/b', 'e/a', 'e/b', 'none/a'])
      assert.deepEqual(loaded.map(text), ['FA', undefined, 'B', 'A', 'B', undefined])
      assert.deepEqual(await session.load([]), [])
    }),
  },
  {
    name: 'scans rows in the order of their UTF-8 bytes',
    promise: 'S4',
    because: 'timers are found by their order, and every process must see the same one',
    run: staged(async (stage) => {
      const session = await stage.own(await stage.open()).session(0)
      const names = [
        ...oddIds,
        '',
        'a0',
        'B',
        'aa',
        'a!',
        'z',
        'é',
        'ﾞ',
        '�',
        '𐀀',
        '😀',
        '\u007f',
        '1',
        '10',
        '2',
        '0010',
      ]
      const keys = [...new Set(names)].map((name) => `e/${name}`)
      await session.commit(
        commitOf(1, { rows: Object.fromEntries(shuffled(keys.length).map((i) => [keys[i]!, String(i)])) }),
      )
      const scanned = await session.scan('e/', undefined, 1000)
      const expected = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      assert.deepEqual(
        scanned.map(([key]) => key),
        expected,
      )
      for (const [key, value] of scanned) assert.equal(keys[Number(text(value))], key, 'a value belongs to another key')
    }),
  },
  {
    name: 'pages through a scan without missing or repeating a row',
    promise: 'S4',
    because: 'a fan-in of a quarter of a million results is read in pages',
    run: staged(async (stage) => {
      const session = await stage.own(await stage.open()).session(0)
      const key = (i: number): string => `e/${String(i).padStart(4, '0')}`
      for (let seq = 1; seq <= 3; seq++) {
        const page = shuffled(100).map((i) => i * 3 + seq - 1)
        await session.commit(commitOf(seq, { rows: Object.fromEntries(page.map((i) => [key(i), String(i)])) }))
      }
      const seen: string[] = []
      for (let after: string | undefined; ;) {
        const page = await session.scan('e/', after, 64)
        assert.ok(page.length <= 64, `a page of 64 has ${page.length} rows`)
        seen.push(...page.map(([name]) => name))
        if (page.length < 64 || seen.length > 300) break
        after = page.at(-1)![0]
      }
      assert.deepEqual(
        seen,
        Array.from({ length: 300 }, (_, i) => key(i)),
      )
      const between = await session.scan('e/', `${key(9)}5`, 2)
      assert.deepEqual(
        between.map(([name]) => name),
        [key(10), key(11)],
        'after a key that does not exist',
      )
      assert.deepEqual(await session.scan('e/', key(299), 10), [])
    }),
  },
  {
    name: 'scans the rows of its prefix only, whatever characters an id has',
    promise: 'S4',
    because: 'deleting pipeline a_ must not delete pipeline ab',
    run: staged(async (stage) => {
      const session = await stage.own(await stage.open()).session(0)
      const rows = Object.fromEntries(
        oddIds.flatMap((id) => [`${id}/x1`, `${id}/x2`, `${id}/y`].map((key) => [key, key])),
      )
      await session.commit(commitOf(1, { rows }))
      for (const id of oddIds) {
        assert.deepEqual(
          (await session.scan(`${id}/`, undefined, 10)).map(([key]) => key),
          [`${id}/x1`, `${id}/x2`, `${id}/y`],
        )
        assert.deepEqual(
          (await session.scan(`${id}/x`, undefined, 10)).map(([key]) => key),
          [`${id}/x1`, `${id}/x2`],
        )
        assert.deepEqual(
          (await session.scan(`${id}/`, `${id}/x1`, 1)).map(([key]) => key),
          [`${id}/x2`],
        )
      }
      assert.deepEqual(
        (await session.load(oddIds.map((id) => `${id}/y`))).map(text),
        oddIds.map((id) => `${id}/y`),
      )
    }),
  },
  {
    name: 'keeps the rows of two partitions apart',
    promise: 'S4',
    because: 'each partition has an owner of its own, and a fence of its own',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open())
      const [zero, one] = [await owner.session(0), await owner.session(1)]
      await zero.commit(commitOf(1, { rows: { 'e/a': 'zero' } }))
      assert.deepEqual(await one.load(['e/a']), [undefined])
      assert.deepEqual(await one.scan('e/', undefined, 10), [])
      await one.commit(commitOf(1, { rows: { 'e/a': 'one' } }))
      assert.equal(text((await zero.load(['e/a']))[0]), 'zero')
    }),
  },
  {
    name: 'reads committed rows without owning them',
    promise: 'S4',
    because: 'status works when no worker is up',
    requires: ['reader'],
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const session = await stage.own(here).session(1)
      await session.commit(commitOf(1, { rows: { 'e/a': '1', 'e/b': '1' } }))
      await session.commit(commitOf(2, { rows: { 'e/a': '2', 'e/c': '2' } }))
      const { reader } = there
      assert.ok(reader, 'the harness says that there is a reader')
      assert.deepEqual((await reader.load(1, ['e/b', 'e/a', 'e/x'])).map(text), ['1', '2', undefined])
      assert.deepEqual(await reader.load(0, ['e/a']), [undefined])
      assert.deepEqual(
        (await reader.scan(1, 'e/', 'e/a', 1)).map(([key, value]) => [key, text(value)]),
        [['e/b', '1']],
      )
    }),
  },
  {
    name: 'keeps everything when the last connection has gone',
    promise: 'S4',
    because: 'a deploy stops every process before it starts the next',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const session = await owner.session(0)
      await session.commit(commitOf(1, { time: 5, rows: { 'e/a': '1' }, sends: [toTask('q', 't'), toInbox(1, 'i')] }))
      await space.blobs.put('b', 0, new Uint8Array([1]))
      await owner.stop()
      await stage.transportOf(space).close()
      await stage.pause(20)
      const again = await stage.open()
      const next = stage.own(again)
      assert.deepEqual([(await next.session(0)).seq, (await next.session(0)).time], [1, 5])
      assert.equal(text((await (await next.session(0)).load(['e/a']))[0]), '1')
      await stage.poll(await next.session(1), 1)
      await stage.collect(stage.consume(again), 1)
      assert.ok(await again.blobs.get('b', 0), 'the blob is gone')
    }),
  },
  {
    name: 'keeps everything over a restart of the server',
    promise: 'S4',
    because: 'servers are restarted',
    requires: ['restartBroker'],
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const session = await owner.session(0)
      await session.commit(commitOf(1, { rows: { 'e/a': '1' }, sends: [toTask('q', 't'), toInbox(0, 'i')] }))
      await owner.stop()
      await stage.harness.restartBroker!()
      const again = await stage.eventually(() => stage.open())
      const next = await stage.own(again).session(0)
      assert.equal(next.seq, 1)
      assert.equal(text((await next.load(['e/a']))[0]), '1')
      await stage.poll(next, 1)
      await stage.collect(stage.consume(again), 1, { suspects: true })
    }),
  },
]
