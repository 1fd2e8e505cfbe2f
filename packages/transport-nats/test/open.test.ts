// Which servers and settings are taken, and what is said of the others.
import { createClient, createTasks, startWorker, type Transport } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'
import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import type { NatsTransportOptions } from '../src/index'
import { fromUrl, natsTransport } from '../src/index'
import { newServer } from './support/server'

const NAMESPACE = { namespace: 'n', partitions: 2 }

function transportOf(options: NatsTransportOptions): Transport {
  const transport = natsTransport({ patienceMs: 2_000, ...options })
  onTestFinished(() => transport.close())
  return transport
}

async function onServer({ url }: Server): Promise<NatsConnection> {
  const client = await connect({ servers: url })
  onTestFinished(() => client.close())
  return client
}

/** What JetStream answers. */
async function ask(client: NatsConnection, path: string, request: object = {}): Promise<Record<string, unknown>> {
  const answer = await client.request(`$JS.API.${path}`, JSON.stringify(request), { timeout: 5_000 })
  return answer.json()
}

async function streamsOf(client: NatsConnection): Promise<readonly string[]> {
  const { streams } = (await ask(client, 'STREAM.NAMES')) as { streams: string[] | null }
  return streams ?? []
}

/** Code and message of what `open` refuses with. */
async function refusalOf(transport: Transport, options = {}): Promise<string> {
  const error = await transport.open({ ...NAMESPACE, ...options }).then(
    () => expect.unreachable('it was taken'),
    (thrown: unknown) => thrown as { readonly code: string; readonly message: string },
  )
  return `${error.code}: ${error.message}`
}

test('refuses a server without JetStream', async (ctx) => {
  const server = await newServer(ctx, { settings: 'accounts { PLAIN { users = [{ user: a, password: b }] } }' })
  const url = server.url.replace('//', '//a:b@')
  expect(await refusalOf(transportOf({ url }))).toMatch(/^TASKS_UNSUPPORTED: .*JetStream/s)
})

test('refuses streams that would drop tasks, or promise less than was asked for', async (ctx) => {
  const server = await newServer(ctx)
  const client = await onServer(server)
  const first = transportOf({ url: server.url })
  await first.open(NAMESPACE)
  expect(first.capabilities.server).toMatch(/^nats-server .*R1/)
  const { config } = (await ask(client, 'STREAM.INFO.tasks+n+inbox')) as { config: object }
  await ask(client, 'STREAM.UPDATE.tasks+n+inbox', { ...config, max_msgs: 1_000 })
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(
    /^TASKS_STORE_UNSAFE: .*tasks\+n\+inbox has max_msgs = 1000.*nats stream edit/s,
  )
  await ask(client, 'STREAM.UPDATE.tasks+n+inbox', config)
  expect(await refusalOf(transportOf({ url: `${server.url}?durability=replicated` }))).toMatch(
    /^TASKS_STORE_UNSAFE: .*"process".*replicas: 3/s,
  )
  expect(await refusalOf(transportOf({ url: server.url, durability: 'fsync' }))).toMatch(
    /^TASKS_STORE_UNSAFE: .*sync_interval: always/s,
  )
})

test('refuses what belongs to another program, and what a newer version wrote', async (ctx) => {
  const server = await newServer(ctx)
  const client = await onServer(server)
  await ask(client, 'STREAM.CREATE.mine', { name: 'mine', subjects: ['tasks.n.inbox.>'] })
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(/^TASKS_STORE_FOREIGN: .*another prefix/s)
  await ask(client, 'STREAM.DELETE.mine')
  await transportOf({ url: server.url }).open(NAMESPACE)
  await client.request('tasks.n.state.meta', JSON.stringify({ format: 99, partitions: 2 }))
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(/^TASKS_STORE_NEWER: .*format 99.*upgrade/s)
  await client.request('tasks.n.state.meta', 'something')
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(/^TASKS_STORE_FOREIGN/)
})

test('says that there is nothing, and creates nothing, when it is to verify', async (ctx) => {
  const server = await newServer(ctx)
  expect(await refusalOf(transportOf({ url: server.url }), { provision: 'verify' })).toMatch(/^TASKS_NOT_FOUND/)
  expect(await streamsOf(await onServer(server))).toEqual([])
})

test('says that the server cannot be reached, and that the password is wrong', async (ctx) => {
  const server = await newServer(ctx, {
    settings: 'authorization { user: a, password: right }',
  })
  const as = (password: string): string => server.url.replace('//', `//a:${password}@`)
  expect(await refusalOf(transportOf({ url: as('wrong') }))).toMatch(/^TASKS_UNAVAILABLE: .*authorization/is)
  await transportOf({ url: as('right') }).open(NAMESPACE)
  await server.stop()
  expect(await refusalOf(transportOf({ url: as('right'), patienceMs: 300 }))).toMatch(/^TASKS_UNAVAILABLE/)
  await expect(fromUrl(as('right'), { patienceMs: 300 })).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
})

test('refuses options that it would not keep', () => {
  const refusal = (options: NatsTransportOptions): unknown => {
    try {
      return natsTransport(options)
    } catch (error) {
      return error
    }
  }
  const code = 'TASKS_OPTIONS'
  const url = 'nats://127.0.0.1:4222'
  const unknown: unknown = expect.stringContaining('"family"')
  expect(refusal({ url: `${url}?family=6` })).toMatchObject({ code, message: unknown })
  for (const wrong of [
    'http://a',
    'nats://',
    'nats://a,b c',
    `${url}?durability=most`,
    `${url}?replicas=2`,
    `${url}?prefix=`,
  ])
    expect(refusal({ url: wrong })).toMatchObject({ code })
  expect(refusal({ url, replicas: 4 as 3 })).toMatchObject({ code })
})

test('a URL may name several servers, and what is in it stands for itself', async (ctx) => {
  const server = await newServer(ctx, { settings: 'authorization { user: "a@b", password: "c:d/e" }' })
  const user = `${encodeURIComponent('a@b')}:${encodeURIComponent('c:d/e')}`
  const url = `nats://${user}@127.0.0.1:1,127.0.0.1:${server.port}?prefix=shop`
  expect((await transportOf({ url }).open(NAMESPACE)).partitions).toBe(2)
})

test('two prefixes on one server do not see each other', async (ctx) => {
  const server = await newServer(ctx)
  const mine = await transportOf({ url: `${server.url}?prefix=mine` }).open(NAMESPACE)
  const other = await transportOf({ url: server.url, prefix: 'other' }).open(NAMESPACE)
  await mine.send([{ target: { to: 'task', queue: 'q' }, id: 't', body: Buffer.from('t') }])
  const receive = { max: 1, waitMs: 1_000, suspects: true }
  expect(await other.consume({ queues: ['q'], leaseMs: 1_000 }).receive({ ...receive, waitMs: 0 })).toEqual([])
  expect(await mine.consume({ queues: ['q'], leaseMs: 1_000 }).receive(receive)).toHaveLength(1)
  for (const stream of await streamsOf(await onServer(server))) expect(stream).toMatch(/^(mine|other)\+n\+/)
})

test('the permissions of the README suffice for a client and a worker', async (ctx) => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const [settings] = /^authorization \{[^]*?^\}$/m.exec(readme)!
  const server = await newServer(ctx, { settings })
  const connection = { user: 'shop', pass: 'password', inboxPrefix: '_INBOX_shop' }
  const transport = transportOf({ connection: { ...connection, servers: `127.0.0.1:${server.port}` } })
  const tasks = createTasks({ namespace: 'shop' })
  const double = tasks.bind('double', (n: number) => n * 2)
  const worker = await startWorker({ tasks, transport, partitions: 2, localLane: false })
  const user = createClient({ namespace: 'shop', transport })
  expect(await (await user.submit(double.send(21))).result({ timeoutMs: 20_000 })).toBe(42)
  await user.enqueue(double, 1)
  expect((await user.list()).pipelines).toHaveLength(1)
  expect(await user.deadLetters.list()).toEqual([])
  await user.close()
  await worker.close()
  // And no more than that: another namespace is another user's.
  expect(await refusalOf(transport, { namespace: 'another' })).toMatch(/^TASKS_UNAVAILABLE: .*permissions/is)
}, 60_000)
