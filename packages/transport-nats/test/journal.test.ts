// What is in a partition's journal, after commits that are too large for one message, and after many.
import { own } from '@tasks/conformance/vitest'
import type { InboxMessage, Send, Space } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import { connect } from '@nats-io/transport-node'
import type { TestContext } from 'vitest'
import { expect, onTestFinished, test } from 'vitest'
import type { NatsTransportOptions } from '../src/index'
import { natsTransport } from '../src/index'
import { decodeRecord } from '../src/record'
import { newServer } from './support/server'

const KIB = 1024
const MIB = KIB * KIB

async function openOn(server: Server, options: NatsTransportOptions = {}): Promise<Space> {
  const transport = natsTransport({ url: server.url, ...options })
  onTestFinished(() => transport.close())
  return transport.open({ namespace: 'n', partitions: 1 })
}

interface LogState {
  readonly messages: number
  readonly bytes: number
}

async function logOf(ctx: TestContext, server: Server): Promise<LogState> {
  const client = await connect({ servers: server.url })
  try {
    const { state } = (await client.request('$JS.API.STREAM.INFO.tasks+n+log', '')).json<{ state: LogState }>()
    return state
  } finally {
    await client.close()
  }
}

test('a commit above max_payload is one commit, for the next owner, too', async (ctx) => {
  const server = await newServer(ctx)
  const first = await own(await openOn(server))
  const rows = new Map(Array.from({ length: 8 }, (_, i) => [`e/${i}`, Buffer.alloc(600 * KIB, i)]))
  const sends = Array.from({ length: 8 }, (_, i) => ({
    target: { to: 'task', queue: 'q' } as const,
    id: `t${i}`,
    body: Buffer.alloc(200 * KIB, i),
  }))
  await first.session.commit({ seq: 1, time: 1, rows, sends })
  await first.session.commit({ seq: 2, time: 2, rows: new Map([['e/0', null]]), sends: [] })
  await first.end()
  const { session } = await own(await openOn(server))
  expect(session.seq).toBe(2)
  const loaded = await session.load([...rows.keys()])
  expect(loaded.map((value) => value?.byteLength)).toEqual([undefined, ...Array<number>(7).fill(600 * KIB)])
  expect(loaded[7]?.every((byte) => byte === 7)).toBe(true)
  await session.commit({ seq: 3, time: 3, rows: new Map(), sends: [] })
})

test('the journal is no longer than a few times what is alive, and nothing is lost by that', async (ctx) => {
  const server = await newServer(ctx)
  const { session, end } = await own(await openOn(server))
  // One row that is written once, and stays; others that come and go.
  await session.commit({ seq: 1, time: 1, rows: new Map([['old/1', Buffer.from('still here')]]), sends: [] })
  for (let seq = 2; seq <= 400; seq++) {
    const rows = new Map<string, Buffer | null>([[`new/${seq}`, Buffer.alloc(100 * KIB, seq)]])
    if (seq > 12) rows.set(`new/${seq - 10}`, null)
    await session.commit({ seq, time: seq, rows, sends: [] })
  }
  await expect.poll(async () => (await logOf(ctx, server)).bytes, { timeout: 10_000 }).toBeLessThan(16 * MIB)
  await end()
  const again = await own(await openOn(server))
  expect(String((await again.session.load(['old/1']))[0])).toBe('still here')
  expect(await again.session.scan('new/', undefined, 100)).toHaveLength(11)
  expect(again.session.seq).toBe(400)
}, 60_000)

test('values above the budget are read from the journal, whatever message they are in, and carried forward from there', async (ctx) => {
  const server = await newServer(ctx)
  const little = { rowBytes: 200 * KIB }
  const { session, end } = await own(await openOn(server, little))
  // More than one message has; then what stays among what comes and goes.
  const large = new Map(Array.from({ length: 4 }, (_, i) => [`large/${i}`, Buffer.alloc(600 * KIB, i)]))
  await session.commit({ seq: 1, time: 1, rows: large, sends: [] })
  for (let seq = 2; seq <= 300; seq++) {
    const rows = new Map<string, Buffer | null>([[`new/${seq}`, Buffer.alloc(50 * KIB, seq)]])
    if (seq % 30 === 0) rows.set(`old/${seq}`, Buffer.from(`${seq}`))
    if (seq > 12) rows.set(`new/${seq - 10}`, null)
    await session.commit({ seq, time: seq, rows, sends: [] })
  }
  const check = async ({ load, scan }: Pick<typeof session, 'load' | 'scan'>): Promise<void> => {
    const loaded = await load([...large.keys(), 'old/60', 'old/61', 'new/300'])
    expect(loaded.map((value) => value?.byteLength)).toEqual([
      ...Array<number>(4).fill(600 * KIB),
      2,
      undefined,
      50 * KIB,
    ])
    expect(loaded.slice(0, 4).map((value) => value?.at(-1))).toEqual([0, 1, 2, 3])
    const old = await scan('old/', undefined, 100)
    expect(old.map(([key, value]) => `${key} ${String(value)}`)).toEqual(
      Array.from({ length: 10 }, (_, i) => `old/${30 * (i + 1)} ${30 * (i + 1)}`).sort(),
    )
  }
  await check({ load: session.load.bind(session), scan: session.scan.bind(session) })
  // Twice what is alive, and what it may be longer; less than a third of what was written.
  await expect.poll(async () => (await logOf(ctx, server)).bytes, { timeout: 10_000 }).toBeLessThan(14 * MIB)
  await end()
  const { session: next } = await own(await openOn(server, little))
  await check({ load: next.load.bind(next), scan: next.scan.bind(next) })
}, 60_000)

/** Everything that a stream has is lost, as its end is in a power cut: its numbers begin again. */
async function lose(server: Server, stream: string): Promise<void> {
  const client = await connect({ servers: server.url })
  const { config } = (await client.request(`$JS.API.STREAM.INFO.${stream}`, '')).json<{ config: object }>()
  await client.request(`$JS.API.STREAM.DELETE.${stream}`, '')
  await client.request(`$JS.API.STREAM.CREATE.${stream}`, JSON.stringify(config))
  await client.close()
}

// Fewer new messages than were lost, as many, and more.
test.for([1, 3, 5])(
  'an inbox whose end was lost is read although its numbers begin again: %i new messages',
  async (count, ctx) => {
    const server = await newServer(ctx)
    const space = await openOn(server)
    const toInbox = (id: string): Send => ({ target: { to: 'inbox', partition: 0 }, id, body: Buffer.from(id) })
    for (const id of ['a', 'b', 'c']) await space.send([toInbox(id)])
    const poll = { max: 10, waitMs: 10_000 }
    const first = await own(space)
    const positions: string[] = []
    while (positions.length < 3) for (const { position } of await first.session.poll(poll)) positions.push(position)
    await first.session.commit({ seq: 1, time: 1, through: positions[2]!, rows: new Map(), sends: [] })
    await first.end()
    await lose(server, 'tasks+n+inbox')
    const fresh = Array.from({ length: count }, (_, i) => `new ${i}`)
    for (const id of fresh) await space.send([toInbox(id)])
    // Whoever comes first ends before anything is consumed: what is there then is not taken for what was.
    await (await own(space)).end()
    const { session } = await own(space)
    const got: InboxMessage[] = []
    while (got.length < count) got.push(...(await session.poll(poll)))
    expect(got.map(({ id }) => id)).toEqual(fresh)
    // And the new numbers count from now on.
    await session.commit({ seq: 2, time: 2, through: got.at(-1)!.position, rows: new Map(), sends: [] })
    await space.send([toInbox('last')])
    expect((await session.poll(poll)).map(({ id }) => id)).toEqual(['last'])
  },
)

test.for([1, 3, 5])('events whose end was lost are read on, with a gap: %i new ones', async (count, ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  const toEvents = (id: string): Send => ({ target: { to: 'events', partition: 0 }, id, body: Buffer.from(id) })
  for (const id of ['a', 'b', 'c']) await space.send([toEvents(id)])
  const [after] = await space.events.positions()
  await lose(server, 'tasks+n+event')
  const fresh = Array.from({ length: count }, (_, i) => `new ${i}`)
  for (const id of fresh) await space.send([toEvents(id)])
  const read = { after: new Map([[0, after]]), max: 100, waitMs: 10_000 }
  const [page] = await (await openOn(server)).events.read(read)
  expect(page?.gap).toBe(true)
  expect(page?.events[0]?.id).toBe('new 0')
})

test('what is purged is behind the floor of the last record, so that whoever comes next reads what is there', async (ctx) => {
  const server = await newServer(ctx)
  const client = await connect({ servers: server.url })
  onTestFinished(() => client.close())
  // One connection sends records and purges, and they are heard in its order.
  let floor = 0
  const purges: { readonly floor: number; readonly to: number }[] = []
  client.subscribe('tasks.n.log.0.record', {
    callback: (_, { data }) => void (floor = decodeRecord(data, 'a record').state.floor),
  })
  client.subscribe('$JS.API.STREAM.PURGE.tasks+n+log', {
    callback: (_, message) => void purges.push({ floor, to: message.json<{ seq: number }>().seq }),
  })
  await client.flush()
  const { session } = await own(await openOn(server))
  // An old row holds the floor until it is carried forward; what comes and goes meanwhile is let go of at once.
  await session.commit({ seq: 1, time: 1, rows: new Map([['old/1', Buffer.from('still here')]]), sends: [] })
  for (let seq = 2; seq <= 150; seq++) {
    const rows = new Map<string, Buffer | null>([[`new/${seq}`, Buffer.alloc(100 * KIB)]])
    if (seq > 3) rows.set(`new/${seq - 1}`, null)
    await session.commit({ seq, time: seq, rows, sends: [] })
  }
  await expect.poll(() => purges.length).toBeGreaterThan(0)
  for (const { floor: recorded, to } of purges) expect(to).toBeLessThanOrEqual(recorded)
})

test('a commit of many messages after which nothing is left can be followed', async (ctx) => {
  const server = await newServer(ctx)
  const proxy = await Proxy.to(server.port)
  onTestFinished(() => proxy.close())
  const first = await own(
    await openOn({ ...server, url: `nats://127.0.0.1:${proxy.port}` }, { patienceMs: 3_000 }),
    2_000,
  )
  const names = Array.from({ length: 9 }, (_, i) => `e/${i}`)
  const rows = new Map(names.map((name) => [name, Buffer.alloc(600 * KIB)]))
  await first.session.commit({ seq: 1, time: 1, rows, sends: [] })
  // It deletes all of them, and is itself above max_payload.
  const gone = new Map(names.map((name) => [name, null]))
  for (let i = 0; i < 9_000; i++) gone.set(`e/${'x'.repeat(130)}${i}`, null)
  await first.session.commit({ seq: 2, time: 2, rows: gone, sends: [] })
  // Its purges, if there are any, have arrived.
  await expect.poll(() => first.session.load(['e/0'])).toEqual([undefined])
  await (await openOn(server)).now()
  proxy.refuse()
  proxy.cut()
  const { session } = await own(await openOn(server))
  await session.commit({ seq: 3, time: 3, rows: new Map([['e/a', Buffer.from('1')]]), sends: [] })
  await session.commit({ seq: 4, time: 4, rows: new Map([['e/a', null]]), sends: [] })
})

test('an owner whose last record is lost, and has been replaced, is refused although the number is right', async (ctx) => {
  const server = await newServer(ctx)
  const proxy = await Proxy.to(server.port)
  onTestFinished(() => proxy.close())
  const { session } = await own(await openOn({ ...server, url: `nats://127.0.0.1:${proxy.port}` }), 1_000)
  await session.commit({ seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('1')]]), sends: [] })
  await session.commit({ seq: 2, time: 2, rows: new Map([['e/b', Buffer.from('2')]]), sends: [] })
  const client = await connect({ servers: server.url })
  onTestFinished(() => client.close())
  const records: Uint8Array[] = []
  const get = async (seq: number): Promise<string | undefined> =>
    (await client.request('$JS.API.STREAM.MSG.GET.tasks+n+log', JSON.stringify({ seq }))).json<{
      message?: { data: string }
    }>().message?.data
  for (let seq = 1, data = await get(1); data !== undefined; data = await get(++seq))
    records.push(Buffer.from(data, 'base64'))
  expect(records).toHaveLength(3)
  proxy.refuse()
  proxy.cut()
  await lose(server, 'tasks+n+log')
  for (const record of records.slice(0, 2)) await client.request('tasks.n.log.0.record', record)
  // The claim of the next owner gets the number of the record that is lost.
  const { session: next } = await own(await openOn(server))
  expect([next.seq, await get(3)]).toEqual([1, expect.anything()])
  proxy.accept()
  await expect(
    session.commit({ seq: 3, time: 3, rows: new Map([['e/c', Buffer.from('3')]]), sends: [] }),
  ).rejects.toMatchObject({ code: 'TASKS_FENCED' })
  await next.commit({ seq: 2, time: 2, rows: new Map(), sends: [] })
})
