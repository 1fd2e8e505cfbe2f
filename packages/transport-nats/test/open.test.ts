// Which servers and settings are taken, and what is said of the others.
import { createClient, createTasks, startWorker, type Transport } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'
import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import type { NatsTransportOptions } from '../src/index'
import { fromUrl, natsTransport } from '../src/index'
import type { StreamConfig } from '../src/jetstream'
import type { Durability } from '../src/server'
import { checkDurability, durabilityOf } from '../src/server'
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

test('programs that create a namespace at the same moment find it, and the server lives', async (ctx) => {
  const { url } = await newServer(ctx)
  const transports = Array.from({ length: 10 }, () => transportOf({ url }))
  // nats-server 2.9 would die of the first or the second.
  for (let i = 0; i < 5; i++) {
    const spaces = transports.map((transport) => transport.open({ namespace: `n${i}`, partitions: 3 }))
    for (const { partitions } of await Promise.all(spaces)) expect(partitions).toBe(3)
  }
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
  const [authorization] = /^authorization \{[^]*?^\}$/m.exec(readme)!
  const settings = authorization.replace('users = [', 'users = [{ user: admin, password: password }, ')
  const server = await newServer(ctx, { settings })
  const as = (user: string): NodeConnectionOptions => ({
    user,
    pass: 'password',
    inboxPrefix: '_INBOX_shop',
    servers: `127.0.0.1:${server.port}`,
  })
  const admin = await connect(as('admin'))
  onTestFinished(() => admin.close())
  await ask(admin, 'STREAM.CREATE.theirs', { name: 'theirs', subjects: ['theirs'] })
  await transportOf({ connection: as('admin') }).open({ namespace: 'another', partitions: 1 })
  // One that may create the streams has done so.
  const shop = { namespace: 'shop', partitions: 2 }
  expect(await refusalOf(transportOf({ connection: as('shop') }), shop)).toMatch(/^TASKS_UNAVAILABLE: .*permissions/is)
  await transportOf({ connection: as('shop-setup') }).open(shop)

  const transport = transportOf({ connection: as('shop') })
  await transport.open({ ...shop, provision: 'verify' })
  const tasks = createTasks({ namespace: 'shop' })
  const double = tasks.bind('double', (n: number) => n * 2)
  const worker = await startWorker({ tasks, transport, localLane: false })
  const user = createClient({ namespace: 'shop', transport })
  expect(await (await user.submit(double.send(21))).result({ timeoutMs: 20_000 })).toBe(42)
  await user.enqueue(double, 1)
  expect((await user.list()).pipelines).toHaveLength(1)
  expect(await user.deadLetters.list()).toEqual([])
  await user.close()
  await worker.close()

  // And no more than that: what belongs to others cannot be opened, read, emptied, edited or removed.
  expect(await refusalOf(transport, { namespace: 'another' })).toMatch(/^TASKS_UNAVAILABLE: .*permissions/is)
  const client = await connect(as('shop'))
  onTestFinished(() => client.close())
  for (const stream of ['theirs', 'tasks+another+log'])
    for (const path of ['INFO', 'PURGE', 'UPDATE', 'DELETE', 'MSG.GET', 'MSG.DELETE'])
      await expect(ask(client, `STREAM.${path}.${stream}`, { seq: 1 })).rejects.toThrow(/permission/i)
  await expect(ask(client, 'STREAM.DELETE.tasks+shop+log')).rejects.toThrow(/permission/i)
}, 60_000)

interface Edit {
  readonly kind: string
  readonly setting: string
  readonly to: unknown
  readonly says: RegExp
}

test.for<Edit>([
  { kind: 'state', setting: 'max_age', to: 3_600_000_000_000, says: /max_age = 36\d+, not none: .*--max-age=-1/ },
  { kind: 'blob', setting: 'max_bytes', to: 1_000_000, says: /max_bytes = 1000000, not none/ },
  { kind: 'log', setting: 'max_msgs_per_subject', to: 1, says: /max_msgs_per_subject = 1, not none/ },
  {
    kind: 'state',
    setting: 'max_msgs_per_subject',
    to: 5,
    says: /max_msgs_per_subject = 5, not 1: .*--max-msgs-per-subject=1/,
  },
  {
    kind: 'queue',
    setting: 'retention',
    to: 'limits',
    says: /retention = limits, not workqueue: .*let it be created anew/,
  },
  { kind: 'event', setting: 'discard', to: 'new', says: /discard = new, not old/ },
  { kind: 'inbox', setting: 'max_msg_size', to: 1_000, says: /max_msg_size = 1000/ },
  { kind: 'inbox', setting: 'max_consumers', to: 1, says: /max_consumers = 1/ },
  { kind: 'log', setting: 'no_ack', to: true, says: /no_ack = true/ },
  { kind: 'log', setting: 'deny_purge', to: true, says: /deny_purge = true/ },
  { kind: 'dead', setting: 'deny_delete', to: true, says: /deny_delete = true/ },
  { kind: 'inbox', setting: 'subjects', to: ['elsewhere'], says: /subjects = \["elsewhere"\], not tasks\.n\.inbox/ },
  { kind: 'blob', setting: 'storage', to: 'memory', says: /tasks\+n\+blob promises "none".*storage file/ },
])('refuses a $kind stream with $setting $to', async ({ kind, setting, to, says }, ctx) => {
  const server = await newServer(ctx)
  const client = await onServer(server)
  await transportOf({ url: server.url }).open(NAMESPACE)
  const stream = `tasks+n+${kind}`
  const { config } = (await ask(client, `STREAM.INFO.${stream}`)) as { config: object }
  const meta = await client.request('$JS.API.STREAM.MSG.GET.tasks+n+state', '{"last_by_subj":"tasks.n.state.meta"}')
  await ask(client, `STREAM.DELETE.${stream}`)
  const { error } = await ask(client, `STREAM.CREATE.${stream}`, { ...config, [setting]: to })
  expect(error).toBeUndefined()
  const { message } = meta.json<{ message: { data: string } }>()
  if (kind === 'state') await client.request('tasks.n.state.meta', Buffer.from(message.data, 'base64'))
  const refusal = await refusalOf(transportOf({ url: server.url }), { provision: 'verify' })
  expect(refusal).toMatch(/^TASKS_STORE_UNSAFE: /)
  expect(refusal).toMatch(says)
})

test.for(['event', 'dead', 'blob', 'inbox'])('refuses a namespace whose %s stream is gone', async (kind, ctx) => {
  const server = await newServer(ctx)
  await transportOf({ url: server.url }).open(NAMESPACE)
  await ask(await onServer(server), `STREAM.DELETE.tasks+n+${kind}`)
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(/^TASKS_STORE_CORRUPT: .*is gone/)
})

test('what the streams promise is what the weakest of them does, and copies are no syncing', () => {
  const stream = (num_replicas: number, storage: 'file' | 'memory' = 'file'): StreamConfig => ({
    name: `${storage}-${num_replicas}`,
    subjects: [],
    storage,
    num_replicas,
  })
  expect(durabilityOf([stream(3), stream(3)], false)).toBe('replicated')
  expect(durabilityOf([stream(1), stream(3)], false)).toBe('process')
  expect(durabilityOf([stream(3), stream(1, 'memory'), stream(3)], true)).toBe('none')
  const refusal = (streams: StreamConfig[], syncs: boolean, least: Durability): unknown => {
    try {
      checkDurability(streams, syncs, least)
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }
  expect(refusal([stream(3)], false, 'fsync')).toMatch(/sync_interval: always/)
  expect(refusal([stream(3)], true, 'fsync')).toBeUndefined()
  expect(refusal([stream(3), stream(1)], true, 'replicated')).toMatch(/file-1 .*fewer than three/)
})
