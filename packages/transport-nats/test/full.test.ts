// An account whose storage is full: what was consumed makes room, and what is there is not forgotten.
import { own } from '@tasks/conformance/vitest'
import { TaskError, type Send, type Space } from '@tasks/core'
import { connect } from '@nats-io/transport-node'
import { expect, onTestFinished, test, type TestContext } from 'vitest'
import { natsTransport } from '../src/index'
import { newServer } from './support/server'

const KIB = 1024
const MIB = KIB * KIB
const LEASE_MS = 1_000
/** A commit without room makes some, and then there is room for many small ones. */
const MOST = 300
const ROWS = new Map([['e/a', Buffer.alloc(200)]])

async function setup(ctx: TestContext) {
  const settings = 'accounts { A { jetstream: { max_file: 3MB, max_mem: 64MB }, users: [{ user: a, password: b }] } }'
  const server = await newServer(ctx, { settings })
  const transport = natsTransport({ url: server.url.replace('//', '//a:b@'), patienceMs: 2_000 })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: 'n', partitions: 1, retention: { maxBytes: MIB } })
  return { server, space }
}

/** One that counts what is purged as given back. */
async function setupCounting(ctx: TestContext): Promise<Space> {
  const { server, space } = await setup(ctx)
  if (server.version.startsWith('2.9.'))
    ctx.skip('nats-server 2.9 does not give an account back what is purged of a subject')
  return space
}

function toInbox(id: string, bytes: number): Send {
  return { target: { to: 'inbox', partition: 0 }, id, body: Buffer.alloc(bytes) }
}

/** Sends until there is no room even for little; all of it is consumed as it comes. */
async function fill(space: Space): Promise<{ readonly end: () => Promise<void> }> {
  const { session, end } = await own(space, LEASE_MS)
  let seq = 0
  try {
    for (const bytes of [400 * KIB, 40 * KIB, 4 * KIB, 100]) {
      while (seq < MOST && (await space.send([toInbox(`${seq}`, bytes)]))[0]!.ok) {
        const [message] = await session.poll({ max: 1, waitMs: 10_000 })
        await session.commit({ seq: ++seq, time: seq, through: message!.position, rows: ROWS, sends: [] })
      }
    }
  } catch (error) {
    if (!(TaskError.is(error) && /no storage left|is full/.test(error.message))) throw error
  }
  return { end }
}

test('a commit that finds no room takes what its partition has consumed away, and is made', async (ctx) => {
  const space = await setupCounting(ctx)
  const { session } = await own(space, LEASE_MS)
  // Fifteen times as much as there is room for, and less at a time than is removed as it comes.
  let sent = 0
  for (let seq = 1; sent < 45 * MIB; seq++) {
    const bytes = [400, 40, 4][seq % 3]! * KIB
    const [outcome] = await space.send([toInbox(`${seq}`, bytes)])
    if (outcome!.ok) sent += bytes
    const polled = outcome!.ok ? await session.poll({ max: 1, waitMs: 10_000 }) : []
    const through = polled.length > 0 && { through: polled[0]!.position }
    await session.commit({ seq, time: seq, rows: ROWS, sends: [], ...through })
  }
  expect(await session.load(['e/a'])).toEqual([ROWS.get('e/a')])
}, 60_000)

test('the next owner makes room for its claim', async (ctx) => {
  const space = await setupCounting(ctx)
  const { end } = await fill(space)
  await end().catch(() => {})
  const { session: next } = await own(space, LEASE_MS)
  await next.commit({ seq: next.seq + 1, time: next.time + 1, rows: ROWS, sends: [] })
  expect(await space.send([toInbox('more', 400 * KIB)])).toEqual([{ ok: true }])
}, 60_000)

test('what was consumed is removed after a while, though it is little, so that there is room for what is sent', async (ctx) => {
  const space = await setupCounting(ctx)
  await fill(space)
  await expect
    .poll(async () => (await space.send([toInbox('more', 400 * KIB)]))[0]!.ok, { timeout: 30_000, interval: 500 })
    .toBe(true)
}, 60_000)

test('a journal whose last try had no room is not taken for a new one', async (ctx) => {
  const { server, space } = await setup(ctx)
  await space.send([{ target: { to: 'task', queue: 'q' }, id: 'ballast', body: Buffer.alloc(500 * KIB) }])
  const { end } = await fill(space)
  await end().catch(() => {})
  const client = await connect({ servers: server.url, user: 'a', pass: 'b' })
  onTestFinished(() => client.close())
  // All of a stream: what is purged so is given back by every version.
  await client.request('$JS.API.STREAM.PURGE.tasks+n+queue', '')
  const { session } = await own(space, LEASE_MS)
  expect(session.seq).toBeGreaterThan(0)
  expect(await session.load(['e/a'])).toEqual([ROWS.get('e/a')])
  await session.commit({
    seq: session.seq + 1,
    time: session.time + 1,
    rows: new Map([['e/b', ROWS.get('e/a')!]]),
    sends: [],
  })
  expect(await session.load(['e/b'])).toEqual([ROWS.get('e/a')])
}, 60_000)
