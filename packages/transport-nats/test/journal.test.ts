// What is in a partition's journal, after commits that are too large for one message, and after many.
import { own } from '@tasks/conformance/vitest'
import type { Send, Space } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { connect } from '@nats-io/transport-node'
import type { TestContext } from 'vitest'
import { expect, onTestFinished, test } from 'vitest'
import type { NatsTransportOptions } from '../src/index'
import { natsTransport } from '../src/index'
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

test('an inbox whose end was lost, as in a power cut, is read although its numbers begin again', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  const toInbox = (id: string): Send => ({ target: { to: 'inbox', partition: 0 }, id, body: Buffer.from(id) })
  for (const id of ['a', 'b', 'c']) await space.send([toInbox(id)])
  const first = await own(space)
  const poll = { max: 10, waitMs: 10_000 }
  const positions: string[] = []
  while (positions.length < 3) for (const { position } of await first.session.poll(poll)) positions.push(position)
  await first.session.commit({ seq: 1, time: 1, through: positions[2]!, rows: new Map(), sends: [] })
  await first.end()
  const client = await connect({ servers: server.url })
  onTestFinished(() => client.close())
  const { config } = (await client.request('$JS.API.STREAM.INFO.tasks+n+inbox', '')).json<{ config: object }>()
  await client.request('$JS.API.STREAM.DELETE.tasks+n+inbox', '')
  await client.request('$JS.API.STREAM.CREATE.tasks+n+inbox', JSON.stringify(config))
  await space.send([toInbox('d')])
  const { session } = await own(space)
  expect((await session.poll(poll)).map(({ id }) => id)).toEqual(['d'])
})
