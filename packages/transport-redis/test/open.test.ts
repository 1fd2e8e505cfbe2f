// Which servers and settings are taken, and what is said of the others.
import { createClient, createTasks, startWorker, type Transport } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { Redis } from 'ioredis'
import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import type { RedisTransportOptions } from '../src/index'
import { fromUrl, redisTransport } from '../src/index'
import { newServer } from './support/server'

function transportOf(options: RedisTransportOptions): Transport {
  const transport = redisTransport({ patienceMs: 2_000, ...options })
  onTestFinished(() => transport.close())
  return transport
}

function onServer({ url }: Server): Redis {
  // It may outlive its server.
  const client = new Redis(url).on('error', () => {})
  onTestFinished(() => client.disconnect())
  return client
}

const NAMESPACE = { namespace: 'n' }

/** Code and message of what `open` refuses with. */
async function refusalOf(transport: Transport): Promise<string> {
  const error = await transport.open(NAMESPACE).then(
    () => expect.unreachable('it was taken'),
    (thrown: unknown) => thrown as { readonly code: string; readonly message: string },
  )
  return `${error.code}: ${error.message}`
}

async function expectNothingCreated(server: Server): Promise<void> {
  expect(await onServer(server).dbsize()).toBe(0)
}

test('refuses a server that may evict keys, with the fix', async (ctx) => {
  const server = await newServer(ctx, { settings: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] })
  const transport = transportOf({ url: server.url })
  expect(await refusalOf(transport)).toMatch(
    /^TASKS_STORE_UNSAFE: .*maxmemory-policy is allkeys-lru.*CONFIG SET maxmemory-policy noeviction/s,
  )
  await expectNothingCreated(server)
  // The same transport looks again.
  await onServer(server).config('SET', 'maxmemory-policy', 'noeviction')
  await transport.open(NAMESPACE)
})

test('refuses a server without an append-only file, unless that is meant', async (ctx) => {
  const server = await newServer(ctx, { appendfsync: 'off' })
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(
    /^TASKS_STORE_UNSAFE: .*append-only.*appendonly yes.*durability=none/s,
  )
  await expectNothingCreated(server)
  const meant = transportOf({ url: `${server.url}?durability=none` })
  await meant.open(NAMESPACE)
  expect(meant.capabilities.durability).toBe('none')
})

test.for([
  ['always', 'fsync'],
  ['everysec', 'process'],
  ['no', 'process'],
] as const)(
  'says of appendfsync %s that what is stored survives by the class %s',
  async ([appendfsync, durability], ctx) => {
    const server = await newServer(ctx, { appendfsync })
    const transport = transportOf({ url: server.url })
    const space = await transport.open(NAMESPACE)
    expect(space.capabilities).toMatchObject({ durability, server: expect.stringMatching(/^(Redis|Valkey) \d/) })
    expect(transport.capabilities).toEqual(space.capabilities)
  },
)

test('refuses a server that promises less than was asked for', async (ctx) => {
  const { url } = await newServer(ctx)
  expect(await refusalOf(transportOf({ url, durability: 'fsync' }))).toMatch(
    /^TASKS_STORE_UNSAFE: .*promises "process".*CONFIG SET appendfsync always/s,
  )
  const always = await newServer(ctx, { appendfsync: 'always' })
  await transportOf({ url: always.url, durability: 'fsync' }).open(NAMESPACE)
})

test('refuses a server of a cluster', async (ctx) => {
  const server = await newServer(ctx, { settings: ['--cluster-enabled', 'yes'] })
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(/^TASKS_UNSUPPORTED: .*Cluster/s)
})

test('refuses what belongs to another program, and what a newer version wrote', async (ctx) => {
  const server = await newServer(ctx)
  const client = onServer(server)
  await client.set('{tasks:n}:meta', 'something')
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(/^TASKS_STORE_FOREIGN: .*another program/s)
  await client.del('{tasks:n}:meta')
  await client.hset('{tasks:n}:meta', { name: 'x' })
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(/^TASKS_STORE_FOREIGN: .*\{tasks:n\}:meta/s)
  await client.hset('{tasks:n}:meta', { format: '99', partitions: '4' })
  expect(await refusalOf(transportOf({ url: server.url }))).toMatch(/^TASKS_STORE_NEWER: .*format 99.*upgrade/s)
})

test('a key of another type under a commit is refused before anything is written', async (ctx) => {
  const server = await newServer(ctx)
  const space = await transportOf({ url: server.url }).open({ namespace: 'n', partitions: 1 })
  await onServer(server).set('{tasks:n}:q:mine', 'something else')
  const stopping = new AbortController()
  let refusal: unknown
  await space.own({ leaseMs: 10_000 }).run(async (session) => {
    refusal = await session
      .commit({
        seq: 1,
        time: 1,
        rows: new Map([['e/a', Buffer.from('x')]]),
        sends: [{ target: { to: 'task', queue: 'mine' }, id: 't', body: Buffer.from('t') }],
      })
      .catch((error: unknown) => error)
    expect(await session.load(['e/a'])).toEqual([undefined])
    stopping.abort()
  }, stopping.signal)
  expect(refusal).toMatchObject({ code: 'TASKS_STORE_FOREIGN' })
  expect(await onServer(server).hget('{tasks:n}:p0', 'seq')).toBe(null)
})

test('a server that is out of memory refuses a commit whole, and lets work be finished', async (ctx) => {
  const server = await newServer(ctx)
  const space = await transportOf({ url: server.url }).open({ namespace: 'n', partitions: 1 })
  await space.send([{ target: { to: 'task', queue: 'q' }, id: 't', body: Buffer.from('t') }])
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const [lease] = await consumer.receive({ max: 1, waitMs: 0, suspects: false })
  await onServer(server).config('SET', 'maxmemory', '1mb')
  const [outcome] = await space.send([{ target: { to: 'task', queue: 'q' }, id: 'u', body: Buffer.from('u') }])
  expect(outcome).toMatchObject({
    ok: false,
    certain: true,
    error: { message: expect.stringContaining('out of memory') },
  })
  await consumer.settle([{ lease: lease!, op: 'ack' }], [])
  await onServer(server).config('SET', 'maxmemory', '0')
  expect(await consumer.receive({ max: 1, waitMs: 0, suspects: true })).toEqual([])
})

test('says that the server cannot be reached, and that the password is wrong', async (ctx) => {
  const server = await newServer(ctx)
  await onServer(server).config('SET', 'requirepass', 'secret')
  const wrong = server.url.replace('//', '//default:wrong@')
  expect(await refusalOf(transportOf({ url: wrong, patienceMs: 500 }))).toMatch(/^TASKS_UNAVAILABLE: .*WRONGPASS/s)
  await transportOf({ url: server.url.replace('//', '//default:secret@') }).open(NAMESPACE)
  await server.stop()
  expect(await refusalOf(transportOf({ url: server.url, patienceMs: 500 }))).toMatch(
    /^TASKS_UNAVAILABLE: .*ECONNREFUSED/s,
  )
  await expect(fromUrl(server.url, { patienceMs: 500 })).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
})

test('refuses options that it would not keep', () => {
  const refusal = (options: RedisTransportOptions): unknown => {
    try {
      return redisTransport(options)
    } catch (error) {
      return error
    }
  }
  const url = 'redis://127.0.0.1:6379'
  expect(refusal({ url: `${url}?family=6` })).toMatchObject({
    code: 'TASKS_OPTIONS',
    message: expect.stringContaining('"family"'),
  })
  expect(refusal({ url: 'http://127.0.0.1' })).toMatchObject({ code: 'TASKS_OPTIONS' })
  expect(refusal({ url: `${url}?durability=most` })).toMatchObject({ code: 'TASKS_OPTIONS' })
  expect(refusal({ url, connection: { keyPrefix: 'x' } })).toMatchObject({
    code: 'TASKS_OPTIONS',
    message: expect.stringContaining('prefix'),
  })
  const client = new Redis({ lazyConnect: true })
  expect(refusal({ url, client })).toMatchObject({ code: 'TASKS_OPTIONS' })
  expect(refusal({ client: { isCluster: true } as unknown as Redis })).toMatchObject({ code: 'TASKS_UNSUPPORTED' })
})

test('two prefixes on one server do not see each other', async (ctx) => {
  const server = await newServer(ctx)
  const mine = await transportOf({ url: `${server.url}?prefix=mine` }).open(NAMESPACE)
  const other = await transportOf({ url: server.url, prefix: 'other' }).open(NAMESPACE)
  await mine.send([{ target: { to: 'task', queue: 'q' }, id: 't', body: Buffer.from('t') }])
  const receive = { max: 1, waitMs: 0, suspects: true }
  expect(await other.consume({ queues: ['q'], leaseMs: 1_000 }).receive(receive)).toEqual([])
  expect(await mine.consume({ queues: ['q'], leaseMs: 1_000 }).receive(receive)).toHaveLength(1)
  for (const key of await onServer(server).keys('*')) expect(key).toMatch(/^\{(mine|other):n\}:/)
})

test('the ACL of the README suffices for a client and a worker', async (ctx) => {
  const server = await newServer(ctx)
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const [, rules] = /^ACL SETUSER tasks (.*)$/m.exec(readme)!
  await onServer(server).acl('SETUSER', 'tasks', ...rules!.split(' '))
  const client = new Redis({
    host: '127.0.0.1',
    port: server.port,
    username: 'tasks',
    password: 'password',
    lazyConnect: true,
  })
  const transport = transportOf({ client })
  const tasks = createTasks({ namespace: 'n' })
  const double = tasks.bind('double', (n: number) => n * 2)
  const worker = await startWorker({ tasks, transport, partitions: 2, localLane: false })
  const user = createClient({ namespace: 'n', transport })
  expect(await (await user.submit(double.send(21))).result({ timeoutMs: 10_000 })).toBe(42)
  await user.enqueue(double, 1)
  expect((await user.list()).pipelines).toHaveLength(1)
  expect(await user.deadLetters.list()).toEqual([])
  await user.close()
  await worker.close()
  expect(transport.capabilities.durability).toBe('process')
})

test.for([2, 3] as const)('speaks RESP%i where messages arrive, and runs pipelines', async (protocol, ctx) => {
  const server = await newServer(ctx)
  const transport = transportOf({ url: server.url, connection: { protocol } })
  const tasks = createTasks({ namespace: 'n' })
  const double = tasks.bind('double', (n: number) => n * 2)
  const worker = await startWorker({ tasks, transport, partitions: 2 })
  const user = createClient({ namespace: 'n', transport })
  expect(await (await user.submit(double.send(21).continueWith(double))).result({ timeoutMs: 10_000 })).toBe(84)
  expect(await (await user.enqueue(double, 4, { reply: true })).result({ timeoutMs: 10_000 })).toBe(8)
  const clients = String(await onServer(server).client('LIST')).split('\n')
  const subscribed = clients.filter((line) => /\bsub=[1-9]/.test(line))
  expect(subscribed).toEqual([expect.stringMatching(new RegExp(`resp=${protocol}\\b`))])
  await user.close()
  await worker.close()
})
