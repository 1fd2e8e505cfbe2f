// What goes wrong between a client and a broker, each through a network that does it on purpose.
import type { PartitionSession, Send, Space } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { startKafka } from '@tasks/dev-config/brokers'
import type { KafkaConfig } from 'kafkajs'
import { connect } from 'node:net'
import type { TestContext } from 'vitest'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import type { KafkaDriver } from '../src/driver'
import { kafkaTransport } from '../src/index'
import { kafkajsDriver } from '../src/kafkajs/driver'
import { parseUrl } from '../src/url'

const server = await serverOrReason(() => startKafka({ brief: true }))
afterAll(async () => {
  if (typeof server !== 'string') await server.stop()
})

interface Bench {
  readonly proxy: Proxy
  /** Through the network that breaks. */
  readonly space: Space
  /** Not through it. */
  readonly other: Space
  readonly namespace: string
}

let namespaces = 0

async function openOn(client: KafkaConfig, namespace: string, patienceMs: number): Promise<Space> {
  const transport = kafkaTransport({ connection: client, patienceMs })
  onTestFinished(() => transport.close())
  return transport.open({ namespace, partitions: 1 })
}

/** Whatever brokers say of their addresses. */
function through(proxy: Proxy): KafkaConfig {
  return {
    brokers: [`127.0.0.1:${proxy.port}`],
    socketFactory: ({ onConnect }) => connect({ port: proxy.port, host: '127.0.0.1' }, onConnect),
  }
}

async function bench(ctx: TestContext, patienceMs = 4_000): Promise<Bench> {
  if (typeof server === 'string') return ctx.skip(server)
  const proxy = await Proxy.to(server.port)
  onTestFinished(() => proxy.close())
  const namespace = `traps-${++namespaces}`
  const other = await openOn(parseUrl(server.url).client, namespace, 10_000)
  return { proxy, other, namespace, space: await openOn(through(proxy), namespace, patienceMs) }
}

function driverOn(ctx: TestContext): KafkaDriver {
  if (typeof server === 'string') return ctx.skip(server)
  const { client } = parseUrl(server.url)
  const driver = kafkajsDriver({ client, clock: systemClock, patienceMs: 10_000, onLog: () => {} })
  onTestFinished(() => driver.close())
  return driver
}

const END_TXN = 26

/** Whether something that is sent begins with a request of this kind. */
function isRequest(api: number): (data: Buffer) => boolean {
  return (data) => data.length > 6 && data.readInt16BE(4) === api
}

function toTask(id: string): Send {
  return { target: { to: 'task', queue: 'q' }, id, body: Buffer.from(id) }
}

/** Owns partition 0 until the test ends. */
function sessionOf(space: Space, leaseMs = 60_000): Promise<PartitionSession> {
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  return new Promise((resolve, reject) => {
    space
      .own({ leaseMs })
      .run(async (session) => {
        resolve(session)
        await new Promise<void>((ended) => session.lost.addEventListener('abort', () => ended(), { once: true }))
      }, stopping.signal)
      .catch(reject)
  })
}

async function received(space: Space, waitMs = 500): Promise<string[]> {
  const batch = await space.consume({ queues: ['q'], leaseMs: 60_000 }).receive({ max: 100, waitMs, suspects: false })
  return batch.map(({ id }) => id)
}

const COMMIT = { seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('x')]]), sends: [toTask('once')] }

test('a commit whose end was not answered is called unknown, and the next owner finds it whole', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const session = await sessionOf(space, 2_000)
  const sprung = proxy.trap(isRequest(END_TXN), 'unanswered')
  const committed = session.commit(COMMIT)
  committed.catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await expect(committed).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE', details: { applied: 'unknown' } })
  const next = await sessionOf(other)
  expect(next.seq).toBe(1)
  expect(String((await next.load(['e/a']))[0])).toBe('x')
  expect(await received(other)).toEqual(['once'])
}, 60_000)

test('a commit whose end never arrived is undone by the next owner, and nothing of it is seen', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const session = await sessionOf(space, 2_000)
  const sprung = proxy.trap(isRequest(END_TXN), 'lost')
  const committed = session.commit(COMMIT)
  committed.catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await expect(committed).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  const next = await sessionOf(other)
  expect(next.seq).toBe(0)
  expect(await next.load(['e/a'])).toEqual([undefined])
  expect(await received(other)).toEqual([])
  await next.commit(COMMIT)
  expect(await received(other)).toEqual(['once'])
}, 60_000)

test('whoever takes over a transactional id ends the transaction of the one before, and all its later ones', async (ctx) => {
  const { namespace } = await bench(ctx)
  const driver = driverOn(ctx)
  const batch = (text: string) => ({
    topic: `tasks.${namespace}.changelog`,
    partition: 0,
    records: [{ key: Buffer.from('r'), value: Buffer.from(text) }],
  })
  const zombie = await driver.takeOver('tasks.zombie')
  await zombie.transact([batch('first')])
  const owner = await driver.takeOver('tasks.zombie')
  await expect(zombie.transact([batch('zombie')])).rejects.toMatchObject({ code: 'TASKS_FENCED' })
  await owner.transact([batch('second')])
  const { records } = await driver.read({ topic: `tasks.${namespace}.changelog`, partition: 0 }, 0)
  expect(records.map(({ value }) => String(value))).toEqual(['first', 'second'])
})

test('lone tasks pass while an owner is stopped inside of a transaction, and what it holds up comes when it is relieved', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const session = await sessionOf(space, 2_000)
  // The end is lost on its way, and the network with it: the transaction stays open.
  const sprung = proxy.trap(isRequest(END_TXN), 'lost')
  session.commit({ ...COMMIT, sends: [toTask('never')] }).catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await other.send([toTask('lone')])
  expect(await received(other, 5_000)).toEqual(['lone'])
  const next = await sessionOf(other)
  await next.commit({ ...COMMIT, sends: [toTask('committed')] })
  expect(await received(other, 10_000)).toEqual(['committed'])
}, 60_000)

test('a send is made again until it is answered, and its repeats are the receiver’s to know', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, 10_000)
  await space.send([toTask('before')])
  const sprung = proxy.trap('tasks.traps', 'unanswered')
  expect(await space.send([toTask('again')])).toEqual([{ ok: true }])
  await sprung
  expect(new Set(await received(other))).toEqual(new Set(['before', 'again']))
})

test('what cannot reach a broker says so when its patience is over, and is certain of it', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, 500)
  proxy.refuse()
  proxy.cut()
  const [outcome] = await space.send([toTask('never')])
  expect(outcome).toMatchObject({ ok: false, error: { code: 'TASKS_UNAVAILABLE' } })
  proxy.accept()
  await expect.poll(async () => (await space.send([toTask('now')]))[0]!.ok, { timeout: 10_000 }).toBe(true)
  expect(await received(other)).toContain('now')
})

test('a connection that is cut again and again loses nothing', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, 20_000)
  const consumer = other.consume({ queues: ['q'], leaseMs: 60_000 })
  const cutting = setInterval(() => proxy.cut(), 40)
  onTestFinished(() => clearInterval(cutting))
  for (let i = 0; i < 30; i++) expect(await space.send([toTask(`t${i}`)])).toEqual([{ ok: true }])
  clearInterval(cutting)
  const seen = new Set<string>()
  await expect
    .poll(
      async () => {
        for (const { id } of await consumer.receive({ max: 100, waitMs: 100, suspects: true })) seen.add(id)
        return seen.size
      },
      { timeout: 20_000 },
    )
    .toBe(30)
}, 90_000)

test('a receive and a poll that wait hear of what came while the other end was gone without a word', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, 2_000)
  const session = await sessionOf(space)
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const receiving = consumer.receive({ max: 10, waitMs: 40_000, suspects: false })
  const polling = session.poll({ max: 10, waitMs: 40_000 })
  await other.send([toTask('warm-up')])
  expect((await receiving).map(({ id }) => id)).toEqual(['warm-up'])
  proxy.hang()
  const again = consumer.receive({ max: 10, waitMs: 40_000, suspects: false })
  await other.send([toTask('a'), { target: { to: 'inbox', partition: 0 }, id: 'i', body: Buffer.from('i') }])
  expect((await polling).map(({ id }) => id)).toEqual(['i'])
  expect((await again).map(({ id }) => id)).toEqual(['a'])
}, 90_000)
