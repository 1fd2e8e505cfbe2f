// What goes wrong between a client library and a server, each through a network that does it on purpose.
import { own } from '@tasks/conformance/vitest'
import type { Send, Space } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import { connect } from '@nats-io/transport-node'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'vitest'
import { expect, onTestFinished, test } from 'vitest'
import type { NatsTransportOptions } from '../src/index'
import { natsTransport } from '../src/index'
import { newServer } from './support/server'

interface Bench {
  readonly server: Server
  readonly proxy: Proxy
  /** Through the network that breaks. */
  readonly space: Space
  /** Not through it. */
  readonly other: Space
}

const COMMIT = 'Nats-Expected-Last-Subject-Sequence'
const STORED_TASK = 'PUB tasks.traps.queue.q.0'

function urlOf({ port }: { readonly port: number }): string {
  return `nats://127.0.0.1:${port}`
}

async function openOn(url: string, options: NatsTransportOptions = {}): Promise<Space> {
  const transport = natsTransport({ url, patienceMs: 4_000, ...options })
  onTestFinished(() => transport.close())
  return transport.open({ namespace: 'traps', partitions: 1 })
}

async function bench(ctx: TestContext, options: NatsTransportOptions = {}): Promise<Bench> {
  const server = await newServer(ctx)
  const proxy = await Proxy.to(server.port)
  onTestFinished(() => proxy.close())
  return { server, proxy, space: await openOn(urlOf(proxy), options), other: await openOn(server.url) }
}

function toTask(id: string): Send {
  return { target: { to: 'task', queue: 'q' }, id, body: Buffer.from(id) }
}

/** What comes until nothing does. */
async function received(space: Space): Promise<string[]> {
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const ids: string[] = []
  for (;;) {
    const batch = await consumer.receive({ max: 100, waitMs: 300, suspects: false })
    if (batch.length === 0) return ids
    ids.push(...batch.map(({ id }) => id))
  }
}

test('the client left alone is closed for good when the server was away for a while', async (ctx) => {
  const server = await newServer(ctx)
  const proxy = await Proxy.to(server.port)
  onTestFinished(() => proxy.close())
  // Its defaults, but for the time.
  const client = await connect({ servers: `127.0.0.1:${proxy.port}`, reconnectTimeWait: 5, reconnectJitter: 0 })
  onTestFinished(() => client.close())
  proxy.refuse()
  proxy.cut()
  await client.closed()
  expect(client.isClosed()).toBe(true)
})

test('the server may be away for longer than the client would wait', async (ctx) => {
  const { proxy, space } = await bench(ctx, { connection: { reconnectTimeWait: 5, maxReconnectAttempts: 3 } })
  proxy.refuse()
  proxy.cut()
  await sleep(3_000)
  proxy.accept()
  expect(await space.send([toTask('a')])).toEqual([{ ok: true }])
})

test('a client that would give up is refused', async (ctx) => {
  const server = await newServer(ctx)
  const client = await connect({ servers: server.url })
  onTestFinished(() => client.close())
  expect(() => natsTransport({ client })).toThrow(expect.objectContaining({ code: 'TASKS_OPTIONS' }))
})

test('a send whose answer was lost is made once, and reported as not known', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  await space.send([toTask('before')])
  const sprung = proxy.trap(STORED_TASK, 'unanswered')
  const [outcome] = await space.send([toTask('once')])
  await sprung
  expect(outcome).toMatchObject({ ok: false, certain: false, error: { code: 'TASKS_UNAVAILABLE' } })
  expect(await space.send([toTask('after')])).toEqual([{ ok: true }])
  expect(await received(other)).toEqual(['before', 'once', 'after'])
})

test.for(['lost', 'unanswered'] as const)('a commit that is %s is made again, and applied once', async (fault, ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const { session } = await own(space)
  const sprung = proxy.trap(COMMIT, fault)
  await session.commit({ seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('1')]]), sends: [toTask('once')] })
  await sprung
  await session.commit({ seq: 2, time: 2, rows: new Map(), sends: [] })
  expect(await received(other)).toEqual(['once'])
})

test('a commit that was applied is told so although somebody else has taken the partition since', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const { session } = await own(space, 500)
  const sprung = proxy.trap(COMMIT, 'unanswered')
  const committed = session.commit({ seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('1')]]), sends: [] })
  proxy.refuse()
  await sprung
  const { session: next } = await own(other)
  expect(next.seq).toBe(1)
  proxy.accept()
  await committed
  await expect(session.commit({ seq: 2, time: 2, rows: new Map(), sends: [] })).rejects.toMatchObject({
    code: 'TASKS_FENCED',
  })
})

test('a commit that was lost, and whose partition was taken since, is refused', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const { session } = await own(space, 500)
  const sprung = proxy.trap(COMMIT, 'lost')
  const committed = session.commit({ seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('1')]]), sends: [] })
  committed.catch(() => {})
  proxy.refuse()
  await sprung
  const { session: next } = await own(other)
  expect(next.seq).toBe(0)
  proxy.accept()
  await expect(committed).rejects.toMatchObject({ code: 'TASKS_FENCED' })
})

test('of a commit of many messages whose owner dies before the last nothing is there, for the next owner and the one after', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const { session } = await own(space, 500)
  const rows = new Map(Array.from({ length: 4 }, (_, i) => [`e/${i}`, Buffer.alloc(600 * 1024, i)]))
  // The parts arrive; what makes them effective does not.
  const sprung = proxy.trap(COMMIT, 'lost')
  const committed = session.commit({ seq: 1, time: 1, rows, sends: [toTask('never')] })
  committed.catch(() => {})
  proxy.refuse()
  await sprung
  for (const seq of [1, 2]) {
    const { session: next, end } = await own(other)
    expect(await next.load([...rows.keys()])).toEqual([undefined, undefined, undefined, undefined])
    await next.commit({ seq, time: 1, rows: new Map([[`f/${seq}`, Buffer.from('whole')]]), sends: [] })
    await end()
  }
  expect(await received(other)).toEqual([])
})

test('what is called while there is no connection is not sent later', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, { patienceMs: 300 })
  proxy.refuse()
  proxy.cut()
  await expect.poll(async () => (await space.send([toTask('never')]))[0]).toMatchObject({ ok: false, certain: true })
  proxy.accept()
  await expect.poll(async () => (await space.send([toTask('now')]))[0]!.ok, { timeout: 10_000 }).toBe(true)
  // The first of them may have been on its way when the connection broke: that it was not known is said.
  expect((await received(other)).filter((id) => id === 'now')).toHaveLength(1)
})

test('a call settles although the other end is gone without a word, and the next one works', async (ctx) => {
  const { proxy, space } = await bench(ctx, { patienceMs: 2_000 })
  proxy.hang()
  const [outcome] = await space.send([toTask('a')])
  expect(outcome).toMatchObject({ ok: false, certain: false })
  await expect.poll(async () => (await space.send([toTask('b')]))[0]!.ok, { timeout: 15_000 }).toBe(true)
})

test('what cannot be written to an end that is gone without a word keeps nobody from connecting again', async (ctx) => {
  const { proxy, space } = await bench(ctx, { patienceMs: 2_000 })
  proxy.hang()
  // More than the system takes for itself.
  const body = Buffer.alloc(512 * 1024)
  const sends = Array.from({ length: 60 }, (_, i): Send => ({ target: { to: 'task', queue: 'q' }, id: `${i}`, body }))
  for (const outcome of await space.send(sends)) expect(outcome).toMatchObject({ ok: false })
  await expect.poll(async () => (await space.send([toTask('b')]))[0]!.ok, { timeout: 20_000 }).toBe(true)
}, 60_000)

test('a process that was busy itself does not take the server for dead', async (ctx) => {
  const { proxy, space } = await bench(ctx, { patienceMs: 2_000 })
  const { connections } = proxy
  const sending = space.send([toTask('a')])
  await sleep(0)
  // Longer than an answer may take.
  for (const until = performance.now() + 2_500; performance.now() < until;);
  expect(await sending).toEqual([{ ok: true }])
  expect(proxy.connections).toBe(connections)
})

test('a poll goes on although the server has taken away what reads its inbox', async (ctx) => {
  const { server, other } = await bench(ctx)
  const { session } = await own(other)
  const client = await connect({ servers: server.url })
  onTestFinished(() => client.close())
  const stream = 'tasks+traps+inbox'
  const names = async (): Promise<readonly string[]> =>
    (await client.request(`$JS.API.CONSUMER.NAMES.${stream}`, '{}')).json<{ consumers: string[] | null }>().consumers ??
    []
  const polling = session.poll({ max: 10, waitMs: 20_000 })
  await expect.poll(async () => (await names()).length).toBe(1)
  const [reader] = await names()
  await client.request(`$JS.API.CONSUMER.DELETE.${stream}.${reader}`, '')
  await other.send([{ target: { to: 'inbox', partition: 0 }, id: 'i', body: Buffer.from('i') }])
  expect((await polling).map(({ id }) => id)).toEqual(['i'])
}, 40_000)

test('a receive and a poll that wait hear of what came while the connection was gone', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const { session } = await own(space)
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const receiving = consumer.receive({ max: 10, waitMs: 20_000, suspects: false })
  const polling = session.poll({ max: 10, waitMs: 20_000 })
  proxy.refuse()
  proxy.cut()
  await other.send([toTask('a'), { target: { to: 'inbox', partition: 0 }, id: 'i', body: Buffer.from('i') }])
  proxy.accept()
  expect((await polling).map(({ id }) => id)).toEqual(['i'])
  expect((await receiving).map(({ id }) => id)).toEqual(['a'])
})

test('a connection that is cut again and again loses nothing and repeats no commit', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, { patienceMs: 20_000, connection: { timeout: 500 } })
  const { session } = await own(space)
  const cutting = setInterval(() => proxy.cut(), 700)
  onTestFinished(() => clearInterval(cutting))
  for (let seq = 1; seq <= 200; seq++) {
    await session.commit({
      seq,
      time: seq,
      rows: new Map([['e/n', Buffer.from(`${seq}`)]]),
      sends: [toTask(`t${seq}`)],
    })
    await sleep(10)
  }
  clearInterval(cutting)
  const came = new Set<string>()
  await expect
    .poll(
      async () => {
        for (const id of await received(other)) came.add(id)
        return came.size
      },
      { timeout: 20_000 },
    )
    .toBe(200)
  expect(session.seq).toBe(200)
}, 60_000)
