import { describeListener } from '@tasks/conformance/vitest'
import { waitForEvent } from '@tasks/core'
import { startNats, type Server } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { afterAll, expect, test } from 'vitest'
import { queueListener } from '../src/index'
import { natsStream } from '../src/nats'
import { eventually } from './support/eventually'

const LEASE_MS = 1_000
const { signal } = new AbortController()

async function onNats(server: Server): Promise<void> {
  const servers = server.url
  const outside = await connect({ servers })
  let streams = 0
  afterAll(async () => {
    await outside.close()
    await server.stop()
  })

  const api = async <T>(subject: string, request: object): Promise<T> =>
    (await outside.request(`$JS.API.${subject}`, JSON.stringify(request))).json<T>()
  const newStream = async (): Promise<string> => {
    const name = `ORDERS${streams++}`
    await api(`STREAM.CREATE.${name}`, { name, subjects: [`${name}.>`], storage: 'memory' })
    return name
  }
  const push = (stream: string, body: string, subject = 'new') => outside.request(`${stream}.${subject}`, body)
  const held = async (stream: string): Promise<number> => {
    const { num_pending = 0, num_ack_pending = 0 } = await api<{ num_pending?: number; num_ack_pending?: number }>(
      `CONSUMER.INFO.${stream}.tasks`,
      {},
    )
    return num_pending + num_ack_pending
  }

  describeListener('a stream of JetStream', {
    name: 'nats stream',
    async create() {
      const stream = await newStream()
      const sent = new Set<number>()
      const connections: Promise<NatsConnection>[] = []
      return {
        process(tasks) {
          const connecting = connect({ servers })
          connections.push(connecting)
          // Whoever listens waits until there is a connection.
          const driver = natsStream({
            connection: {
              request: async (...args) => (await connecting).request(...args),
              requestMany: async (...args) => (await connecting).requestMany(...args),
            },
            stream,
            leaseMs: LEASE_MS,
          })
          const retry = { maxRetries: 20, delayMs: 10 }
          const orders = tasks.bindListener('orders', queueListener<{ nth: number }>(driver), { retry })
          const value = tasks.bind('value', (event: { value: { nth: number } }) => event.value)
          return {
            wait: () => waitForEvent(orders).continueWith(value),
            die: () => void connecting.then((connection) => connection.close()),
          }
        },
        async occur(nth) {
          sent.add(nth)
          await push(stream, JSON.stringify({ nth }))
          return { nth }
        },
        hasOccurred: (nth) => sent.has(nth),
        held: () => held(stream),
        async close() {
          for (const connecting of connections) await (await connecting).close()
        },
      }
    },
  })

  test('a stream hands out what there is, again when nobody has acknowledged it, and to one at a time', async () => {
    const stream = await newStream()
    const driver = natsStream({ connection: outside, stream, leaseMs: 300 })
    for (const body of ['a', 'b', 'c']) await push(stream, body)
    const first = await driver.receive(2, signal)
    expect(first.map(({ id, body }) => [id, body])).toEqual([
      [`${stream}.1`, 'a'],
      [`${stream}.2`, 'b'],
    ])
    // Fewer than were asked for.
    const began = performance.now()
    const other = await driver.receive(50, signal)
    expect(other.map(({ body }) => body)).toContain('c')
    expect(performance.now() - began).toBeLessThan(900)
    await driver.acknowledge(first[0]!.token)
    await driver.acknowledge(other.find(({ body }) => body === 'c')!.token)
    const again = await eventually(async () => {
      const found = await driver.receive(5, signal)
      expect(found).toHaveLength(1)
      return found
    })
    expect(again[0]).toMatchObject({ id: first[1]!.id, body: 'b' })
    expect([first[1]!.deliveries, again[0]!.deliveries > 1]).toEqual([1, true])
    // By the token of the first time, over another connection; and twice.
    const another = await connect({ servers })
    await natsStream({ connection: another, stream }).acknowledge(first[1]!.token)
    await driver.acknowledge(first[1]!.token)
    await another.close()
    expect(await held(stream)).toBe(0)
  })

  test('a stream hands out at once what was given back, and only what was asked for', async () => {
    const stream = await newStream()
    const driver = natsStream({ connection: outside, stream, subject: `${stream}.eu.*`, consumer: 'tasks' })
    await push(stream, 'us', 'us.1')
    await push(stream, 'eu', 'eu.1')
    const [message] = await driver.receive(5, signal)
    expect(message).toMatchObject({ body: 'eu' })
    await driver.giveBack(message!.token)
    expect((await driver.receive(5, signal))[0]).toMatchObject({ id: message!.id })
    await api(`STREAM.DELETE.${stream}`, {})
    // Nobody knows it any more.
    await driver.acknowledge(message!.token)
    await expect(natsStream({ connection: outside, stream }).receive(1, signal)).rejects.toMatchObject({
      code: 'TASKS_NOT_FOUND',
    })
  })

  test('a consumer that is there stays as it is, and says why it hands out nothing', async () => {
    const stream = await newStream()
    const make = (name: string, more: object) =>
      api(`CONSUMER.CREATE.${stream}.${name}`, {
        stream_name: stream,
        config: { durable_name: name, name, ack_policy: 'explicit', ...more },
      })
    await make('mine', { ack_wait: 7e9, max_batch: 1 })
    await push(stream, 'a')
    const driver = natsStream({ connection: outside, stream, consumer: 'mine', leaseMs: LEASE_MS })
    expect(await driver.receive(1, signal)).toMatchObject([{ body: 'a' }])
    const { config } = await api<{ config: { ack_wait: number } }>(`CONSUMER.INFO.${stream}.mine`, {})
    expect(config.ack_wait).toBe(7e9)
    const tooMany = driver.receive(2, signal)
    await expect(tooMany).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE', message: expect.stringMatching(/409 .+/) })
    await make('part', { filter_subject: `${stream}.eu` })
    await make('loud', { deliver_subject: 'somebody' })
    for (const consumer of ['part', 'loud'])
      await expect(natsStream({ connection: outside, stream, consumer }).receive(1, signal)).rejects.toMatchObject({
        code: 'TASKS_OPTIONS',
      })
  })

  test('a consumer that somebody has deleted is made again', async (ctx) => {
    if (process.env['TASKS_TIER'] !== 'all') ctx.skip('it waits for as long as a server is silent: in the long tier')
    const stream = await newStream()
    const driver = natsStream({ connection: outside, stream })
    expect(await driver.receive(1, signal)).toEqual([])
    await api(`CONSUMER.DELETE.${stream}.tasks`, {})
    await push(stream, 'a')
    await expect(driver.receive(1, signal)).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    expect(await driver.receive(1, signal)).toMatchObject([{ body: 'a' }])
  })
}

const server = await serverOrReason(() => startNats())
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test('NATS', (ctx) => ctx.skip(server))
else await onNats(server)
