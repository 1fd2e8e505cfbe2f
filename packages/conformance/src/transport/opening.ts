import assert from 'node:assert/strict'
import { TaskError } from '@tasks/core/adapter'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, commitOf, rejects, text } from '../content'

export const opening: readonly ConformanceCase[] = [
  {
    name: 'says what it can do, truthfully and whole',
    promise: 'opening',
    because: 'the engine splits, refuses and reports by these numbers; a harness that tests others tests nothing',
    run: staged(async (stage) => {
      const transport = await stage.connect()
      const space = await stage.open({ on: transport })
      assert.deepEqual(
        transport.capabilities,
        stage.harness.capabilities,
        'capabilities differ from those of the harness',
      )
      assert.deepEqual(
        space.capabilities,
        transport.capabilities,
        'capabilities of the space differ from those of the transport',
      )
      const { durability, maxMessageBytes, maxCommitBytes, maxCommitItems, priorities, server } = transport.capabilities
      assert.ok(['none', 'process', 'fsync', 'replicated'].includes(durability), `durability "${durability}"`)
      assert.ok(maxMessageBytes >= 1024, `maxMessageBytes ${maxMessageBytes}`)
      assert.ok(maxCommitBytes >= maxMessageBytes, `maxCommitBytes ${maxCommitBytes} is less than one message`)
      assert.ok(maxCommitItems >= 16, `maxCommitItems ${maxCommitItems}`)
      assert.ok(Number.isInteger(priorities) && priorities >= 1, `priorities ${priorities}`)
      assert.ok(server.length > 0 && transport.name.length > 0, 'it has no name')
    }),
  },
  {
    name: 'keeps the number of partitions that a namespace was created with',
    promise: 'opening',
    because: 'a client that hashes onto another number sends a pipeline to two owners',
    run: staged(async (stage) => {
      const first = await stage.open({ partitions: 3 })
      const transport = await stage.connect()
      const second = await transport.open({ namespace: stage.namespace })
      assert.equal(first.partitions, 3)
      assert.equal(second.partitions, 3, 'another connection was told another number')
    }),
  },
  {
    name: 'refuses to open a namespace with another number of partitions',
    promise: 'opening',
    because: 'a changed setting must not split the state of a running system',
    run: staged(async (stage) => {
      await stage.open({ partitions: 3 })
      const other = await stage.connect()
      const open = (): Promise<unknown> => other.open({ namespace: stage.namespace, partitions: 4 })
      await rejects(open, 'TASKS_PARTITIONS_MISMATCH', 'opening with 4 partitions what has 3')
      const again = await other.open({ namespace: stage.namespace, partitions: 3 })
      assert.equal(again.partitions, 3, 'the refused number was kept')
    }),
  },
  {
    name: 'verifies what is there and refuses what is not, without creating it',
    promise: 'opening',
    because: 'a process without the right to provision must fail at its start, not half-way',
    run: staged(async (stage) => {
      const transport = await stage.connect()
      const verify = (): Promise<unknown> => transport.open({ namespace: stage.namespace, provision: 'verify' })
      await assert.rejects(verify, (error) => TaskError.is(error), 'a namespace that is not there was opened')
      await assert.rejects(verify, (error) => TaskError.is(error), 'the first refusal created the namespace')
      await stage.open({ partitions: 3 })
      const verified = await transport.open({ namespace: stage.namespace, provision: 'verify' })
      assert.equal(verified.partitions, 3)
      assert.equal(verified.namespace, stage.namespace)
    }),
  },
  {
    name: 'opens one namespace for many at the same time',
    promise: 'opening',
    because: 'ten workers start at once on an empty store',
    run: staged(async (stage) => {
      const transports = await Promise.all(Array.from({ length: 4 }, () => stage.connect()))
      const spaces = await Promise.all(transports.map((on) => stage.open({ on })))
      assert.deepEqual(new Set(spaces.map((space) => space.partitions)), new Set([2]))
      const outcomes = await Promise.all(
        spaces.map((space, i) => space.send([{ target: { to: 'task', queue: 'q' }, id: `m${i}`, body: bytes('') }])),
      )
      assert.ok(outcomes.flat().every((outcome) => outcome.ok))
      await stage.collect(stage.consume(spaces[0]!), 4)
    }),
  },
  {
    name: 'leaves what is in a namespace as it is when it is opened again',
    promise: 'opening',
    because: 'provisioning runs at every start of every process',
    run: staged(async (stage) => {
      const owner = stage.own(await stage.open())
      const session = await owner.session(0)
      await session.commit(commitOf(1, { rows: { 'e/r': 'kept' } }))
      await stage.open()
      assert.equal(text((await session.load(['e/r']))[0]), 'kept')
      await session.commit(commitOf(2))
    }),
  },
  {
    name: 'tells the time of the store',
    promise: 'opening',
    because: 'due times written by one process are read by another',
    run: staged(async (stage) => {
      const space = await stage.open()
      const before = await space.now()
      await stage.pause(30)
      const after = await space.now()
      assert.ok(Math.abs(before - Date.now()) < 24 * 3600 * 1000, `${before} is not now, in ms since the epoch`)
      assert.ok(after - before >= 20 && after - before < stage.eventuallyMs, `30 ms took ${after - before} ms`)
    }),
  },
]
