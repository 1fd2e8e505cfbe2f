// What the network delivers after its sender has given up, and has asked again.
import type { PartitionSession } from '@tasks/core'
import { own } from '@tasks/conformance/vitest'
import { expect, test } from 'vitest'
import { commit } from '../src/scripts/commit'
import { forgetSubscription } from '../src/scripts/events'
import { extend } from '../src/scripts/extend'
import { receive } from '../src/scripts/receive'
import { settle } from '../src/scripts/settle'
import { bench, onServer, received, toTask } from './support/network'

test.for([0, 10_000])(
  'a receive (waitMs %i) that arrives late takes nothing from a batch that was handed out',
  async (waitMs, ctx) => {
    const { server, proxy, space, other } = await bench(ctx, [receive])
    await other.send(['a', 'b', 'c'].map((id) => toTask(id)))
    const late = proxy.late(receive.sha)
    const consumer = space.consume({ queues: ['q'], leaseMs: 1_000 })
    const leases = await consumer.receive({ max: 3, waitMs, suspects: false })
    expect(leases.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    const deliver = await late
    await other.send(['d', 'e', 'f'].map((id) => toTask(id)))
    await deliver()
    await consumer.settle(
      leases.map((lease) => ({ lease, op: 'ack' })),
      [],
    )
    const rest: string[] = []
    await expect
      .poll(
        async () => {
          rest.push(...(await received(other, { suspects: true })))
          return [...rest].sort()
        },
        { timeout: 20_000 },
      )
      .toEqual(['d', 'e', 'f'])
    await expect.poll(() => onServer(server).hlen('{tasks:traps}:q:q:batches')).toBe(3)
  },
)

test('a receive that arrives late, and waits for a process that does not, keeps what comes for no longer than a lease', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, [receive])
  const late = proxy.late(receive.sha)
  const consumer = space.consume({ queues: ['q'], leaseMs: 1_000 })
  const receiving = consumer.receive({ max: 1, waitMs: 60_000, suspects: false })
  const deliver = await late
  await other.send([toTask('a')])
  expect((await receiving).map(({ id }) => id)).toEqual(['a'])
  await deliver()
  await other.send([toTask('b')])
  const rest: string[] = []
  await expect
    .poll(async () => rest.push(...(await received(other, { suspects: true }))) > 0 && rest, { timeout: 20_000 })
    .toContain('b')
})

test('a settlement that arrives late, when it was made again, settles nothing else', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, [settle])
  await other.send(['a', 'b', 'c'].map((id) => toTask(id)))
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const [a, b, c] = await consumer.receive({ max: 3, waitMs: 0, suspects: false })
  const settlements = [
    { lease: a!, op: 'ack' },
    { lease: b!, op: 'return', delayMs: 0 },
  ] as const
  const late = proxy.late(settle.sha)
  await expect(consumer.settle(settlements, [])).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  const deliver = await late
  await consumer.settle(settlements, [])
  expect(await received(other)).toEqual(['b'])
  await deliver()
  expect(await received(other)).toEqual([])
  await consumer.settle([{ lease: c!, op: 'return', delayMs: 0 }], [])
  expect(await received(other)).toEqual(['c'])
})

test('an extension that arrives late moves nothing away from who settles it', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, [extend])
  await other.send(['a', 'b', 'c'].map((id) => toTask(id)))
  const consumer = space.consume({ queues: ['q'], leaseMs: 1_000 })
  const [a, b, c] = await consumer.receive({ max: 3, waitMs: 0, suspects: false })
  await consumer.settle(
    [
      { lease: a!, op: 'ack' },
      { lease: b!, op: 'ack' },
    ],
    [],
  )
  const late = proxy.late(extend.sha)
  await consumer.extend([c!])
  const deliver = await late
  await deliver()
  await consumer.settle([{ lease: c!, op: 'ack' }], [])
  expect(await received(other, { suspects: true, waitMs: 1_500 })).toEqual([])
})

test('a commit that arrives late changes nothing', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, [commit])
  const { session } = await own(space)
  const commitOf = (seq: number): Parameters<PartitionSession['commit']>[0] => ({
    seq,
    time: seq,
    rows: new Map([['e/a', Buffer.from(String(seq))]]),
    sends: [toTask(`t${seq}`)],
  })
  const late = proxy.late(commit.sha)
  await session.commit(commitOf(1))
  await session.commit(commitOf(2))
  await (
    await late
  )()
  await session.commit(commitOf(3))
  expect(String((await session.load(['e/a']))[0])).toBe('3')
  expect(await received(other)).toEqual(['t1', 't2', 't3'])
})

test('to forget a subscription, late, does not forget another that has got its name', async (ctx) => {
  const { server, proxy, space } = await bench(ctx, [forgetSubscription])
  const options = { name: 's', from: [undefined], leaseMs: 60_000 }
  await (await space.events.subscribe(options)).close()
  const late = proxy.late(forgetSubscription.sha)
  await space.events.forget('s')
  const deliver = await late
  const member = await space.events.subscribe(options)
  await deliver()
  expect(await onServer(server).exists('{tasks:traps}:s:s')).toBe(1)
  await member.close()
})
