// Leases that are settled, extended and given back while something else goes on.
import { expect, test } from 'vitest'
import { extend } from '../src/scripts/extend'
import { receive } from '../src/scripts/receive'
import { settle } from '../src/scripts/settle'
import { bench, onServer, openOn, toTask } from './support/network'
import { newServer } from './support/server'

test.for(['the extension', 'the settlement'] as const)(
  'what is acknowledged while it is extended does not come back, if %s is there first',
  async (first, ctx) => {
    const { server, proxy, space } = await bench(ctx, [extend, settle], { patienceMs: 20_000 })
    await space.send(['a', 'b', 'c'].map((id) => toTask(id)))
    const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
    const [a, b, c] = await consumer.receive({ max: 3, waitMs: 0, suspects: false })
    await consumer.settle(
      [a!, b!].map((lease) => ({ lease, op: 'ack' })),
      [],
    )
    // They go by two connections: either may be the slower.
    const [held, free] = first === 'the extension' ? [settle, extend] : [extend, settle]
    const start = {
      [extend.sha]: () => consumer.extend([c!]),
      [settle.sha]: () => consumer.settle([{ lease: c!, op: 'ack' }], []),
    }
    const holding = proxy.hold(held.sha)
    const slow = start[held.sha]!()
    const letGo = await holding
    await start[free.sha]!()
    letGo()
    await slow
    expect(await onServer(server).hkeys('{tasks:traps}:q:q:batches')).toEqual([])
  },
)

test('what is acknowledged after an extension that nobody knows the outcome of does not come back', async (ctx) => {
  const { server, proxy, space } = await bench(ctx, [extend], { patienceMs: 300 })
  await space.send(['a', 'b', 'c', 'd', 'e'].map((id) => toTask(id)))
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const [a, b, c, ...rest] = await consumer.receive({ max: 5, waitMs: 0, suspects: false })
  await consumer.settle(
    [a!, b!, c!].map((lease) => ({ lease, op: 'ack' })),
    [],
  )
  const sprung = proxy.trap(extend.sha, 'unanswered')
  const extended = consumer.extend(rest)
  extended.catch(() => {})
  await sprung
  proxy.refuse()
  await expect(extended).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  proxy.accept()
  await expect
    .poll(
      () =>
        consumer.extend(rest.slice(0, 1)).then(
          () => 'extended',
          () => 'unavailable',
        ),
      { timeout: 10_000 },
    )
    .toBe('extended')
  await consumer.settle(
    rest.map((lease) => ({ lease, op: 'ack' })),
    [],
  )
  expect(await onServer(server).hkeys('{tasks:traps}:q:q:batches')).toEqual([])
})

test('what is given back for later wakes somebody who waits still, and takes it', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server.url)
  const both = space.consume({ queues: ['a', 'b'], leaseMs: 60_000 })
  const second = space.consume({ queues: ['b'], leaseMs: 60_000 })
  await space.send([toTask('x', 'b')])
  const [x] = await second.receive({ max: 1, waitMs: 0, suspects: false })
  const waiting = (): Promise<number> => onServer(server).zcard('{tasks:traps}:q:b:waiters')
  const first = both.receive({ max: 1, waitMs: 30_000, suspects: true })
  await expect.poll(waiting).toBe(1)
  const unsuspecting = second.receive({ max: 1, waitMs: 30_000, suspects: false })
  await expect.poll(waiting).toBe(2)
  const last = second.receive({ max: 1, waitMs: 30_000, suspects: true })
  await expect.poll(waiting).toBe(3)
  // It is in the list of the waiting still, and does not wait.
  await space.send([toTask('y', 'a')])
  expect((await first).map(({ id }) => id)).toEqual(['y'])
  await second.settle([{ lease: x!, op: 'return', delayMs: 200 }], [])
  const woken = await Promise.race([unsuspecting, last])
  expect(woken.map(({ id }) => id)).toEqual(['x'])
  await second.close()
  await Promise.all([unsuspecting, last])
}, 30_000)

test('what was handed to a receive that failed is had by the next', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, [receive], { patienceMs: 300 })
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const sprung = proxy.trap(receive.sha, 'unanswered')
  const failing = consumer.receive({ max: 10, waitMs: 10_000, suspects: false })
  failing.catch(() => {})
  await sprung
  proxy.refuse()
  await expect(failing).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  proxy.accept()
  // The server holds the failed receive for one that waits, until its connection is seen to be gone.
  await other.send(['a', 'b', 'c'].map((id) => toTask(id)))
  const got: string[] = []
  await expect
    .poll(
      async () => {
        const leases = await consumer.receive({ max: 2, waitMs: 0, suspects: false }).catch(() => [])
        expect(leases.length).toBeLessThanOrEqual(2)
        got.push(...leases.map(({ id }) => id))
        return [...got].sort()
      },
      { timeout: 10_000 },
    )
    .toEqual(['a', 'b', 'c'])
})
