// Logs that have lost their beginning: whoever comes then knows who holds what all the same.
import { expect, onTestFinished, test } from 'vitest'
import { kafkaTransport } from '../src/index'
import { parseUrl } from '../src/url'
import { toTask } from './support/bench'
import { newDriver, newNamespace, sharedBroker } from './support/server'

test('what is done leaves the log of a queue, and who comes later is given nothing that somebody holds', async (ctx) => {
  const { url } = sharedBroker(ctx)
  const namespace = newNamespace()
  const open = async () => {
    const transport = kafkaTransport({ url })
    onTestFinished(() => transport.close())
    return transport.open({ namespace, partitions: 1 })
  }
  const driver = newDriver(ctx, parseUrl(url).client)
  const space = await open()
  const consumer = space.consume({ queues: ['q'], leaseMs: 120_000 })
  const one = async (): Promise<void> => {
    await space.send([toTask('done')])
    const leases = await consumer.receive({ max: 10, waitMs: 5_000, suspects: true })
    await consumer.settle(
      leases.map((lease) => ({ lease, op: 'ack' })),
      [],
    )
  }
  for (let i = 0; i < 100; i++) await one()
  await space.send([toTask('held')])
  const [held] = await consumer.receive({ max: 1, waitMs: 5_000, suspects: true })
  expect(held?.id).toBe('held')
  const startOfLog = async (): Promise<number> => {
    await one()
    return (await driver.range({ topic: `tasks.${namespace}.tasks`, partition: 0 })).start
  }
  await expect.poll(startOfLog, { timeout: 60_000, interval: 200 }).toBeGreaterThan(100)

  const later = (await open()).consume({ queues: ['q'], leaseMs: 120_000 })
  expect(await later.receive({ max: 10, waitMs: 1_000, suspects: true })).toEqual([])
  await space.send([toTask('fresh')])
  const received = [
    ...(await later.receive({ max: 10, waitMs: 5_000, suspects: true })),
    ...(await later.receive({ max: 10, waitMs: 500, suspects: true })),
  ]
  expect(received.map(({ id, deliveries }) => [id, deliveries])).toEqual([['fresh', 1]])
  await consumer.settle([{ lease: held!, op: 'return', delayMs: 0 }], [])
  const [returned] = await later.receive({ max: 10, waitMs: 5_000, suspects: true })
  expect([returned?.id, returned?.deliveries]).toEqual(['held', 1])
}, 180_000)

test('the log of the subscriptions is cut, and they go on where they are', async (ctx) => {
  const { url } = sharedBroker(ctx)
  const namespace = newNamespace()
  const open = async () => {
    const transport = kafkaTransport({ url })
    onTestFinished(() => transport.close())
    return transport.open({ namespace, partitions: 1 })
  }
  const driver = newDriver(ctx, parseUrl(url).client)
  const space = await open()
  const event = (id: string) => ({ target: { to: 'events', partition: 0 }, id, body: Buffer.from(id) }) as const
  const subscribe = { name: 'audit', from: [undefined], leaseMs: 120_000 }
  const member = await space.events.subscribe(subscribe)
  await space.send([event('a')])
  await member.settle((await member.receive({ max: 1, waitMs: 10_000 }))!)
  await space.send([event('b')])
  const page = await member.receive({ max: 1, waitMs: 10_000 })
  const startOfLog = async (): Promise<number> => {
    await Promise.all(Array.from({ length: 500 }, () => member.extend(page!)))
    return (await driver.range({ topic: `tasks.${namespace}.subscriptions`, partition: 0 })).start
  }
  await expect.poll(startOfLog, { timeout: 60_000, interval: 100 }).toBeGreaterThan(1_000)
  const other = await (await open()).events.subscribe(subscribe)
  expect(await other.receive({ max: 1, waitMs: 1_000 })).toBeUndefined()
  await member.settle(page!)
  await space.send([event('c')])
  const next = await other.receive({ max: 10, waitMs: 10_000 })
  expect(next?.events.map(({ id }) => id)).toEqual(['c'])
}, 180_000)
