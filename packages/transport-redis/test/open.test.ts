// Which servers and settings are taken, and what is said of the others.
import { own } from '@tasks/conformance/vitest'
import {
  createClient,
  createTasks,
  sleep,
  startWorker,
  type Commit,
  type Logger,
  type Send,
  type Space,
  type Transport,
} from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { Redis } from 'ioredis'
import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import type { RedisTransportOptions } from '../src/index'
import { fromUrl, redisTransport } from '../src/index'
import { onServer } from './support/network'
import { newServer } from './support/server'

function transportOf(options: RedisTransportOptions): Transport {
  const transport = redisTransport({ patienceMs: 2_000, ...options })
  onTestFinished(() => transport.close())
  return transport
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

/** What a commit of the one partition is refused with, if it is. */
async function commitOf(space: Space, commit: Partial<Commit>): Promise<unknown> {
  const { session, end } = await own(space)
  const refusal = await session
    .commit({ seq: session.seq + 1, time: 1, rows: new Map(), sends: [], ...commit })
    .catch((error: unknown) => error)
  await end()
  return refusal
}

const ROWS = new Map([['e/a', Buffer.from('x')]])
const TASK: Send = { target: { to: 'task', queue: 'mine' }, id: 't', body: Buffer.from('t') }
const LETTER = { reason: 'failed', message: 'm', source: 'mine' }

test.for<readonly [string, Send]>([
  ['q:mine', TASK],
  ['q:mine:waiters', TASK],
  ['q:mine:high', { ...TASK, target: { to: 'task', queue: 'mine', priority: 3 } }],
  ['order', { ...TASK, target: { to: 'task', queue: 'mine', priority: 3 } }],
  ['dead', { ...TASK, target: { to: 'dead', letter: LETTER } }],
  ['p0:events', { ...TASK, target: { to: 'events', partition: 0 } }],
])(
  'a commit that needs %s, and finds something else there, is refused before anything is written',
  async ([key, send], ctx) => {
    const server = await newServer(ctx)
    const space = await transportOf({ url: server.url }).open({ namespace: 'n', partitions: 1 })
    await onServer(server).set(`{tasks:n}:${key}`, 'something else')
    const certain = { details: { applied: 'no' } }
    expect(await commitOf(space, { rows: ROWS, sends: [send] })).toMatchObject(certain)
    expect(await onServer(server).hget('{tasks:n}:p0', 'seq')).toBe(null)
    expect(await onServer(server).exists('{tasks:n}:p0:rows')).toBe(0)
    const [outcome] = await space.send([send])
    expect(outcome).toMatchObject({ ok: false, certain: true })
  },
)

test.for(['waiting', 'q:mine:batches', 'q:mine:leases', 'q:mine:high'])(
  'a commit that would hand a message over, and finds something else at %s, is refused before anything is written',
  async (key, ctx) => {
    const server = await newServer(ctx)
    const space = await transportOf({ url: server.url }).open({ namespace: 'n', partitions: 1 })
    const consumer = space.consume({ queues: ['mine'], leaseMs: 60_000 })
    const receiving = consumer.receive({ max: 1, waitMs: 60_000, suspects: true })
    await expect.poll(() => onServer(server).exists('{tasks:n}:q:mine:waiters')).toBe(1)
    await onServer(server).set(`{tasks:n}:${key}`, 'something else')
    expect(await commitOf(space, { rows: ROWS, sends: [TASK] })).toMatchObject({
      code: 'TASKS_STORE_FOREIGN',
      details: { applied: 'no' },
    })
    expect(await onServer(server).hget('{tasks:n}:p0', 'seq')).toBe(null)
    await onServer(server).del(`{tasks:n}:${key}`)
    await consumer.close()
    await receiving
  },
)

test('what fails in the middle of a script is not called certain', async (ctx) => {
  const server = await newServer(ctx)
  const space = await transportOf({ url: server.url }).open({ namespace: 'n', partitions: 1 })
  const { session } = await own(space)
  // Looked at when the partition was claimed.
  await onServer(server).set('{tasks:n}:p0:rows', 'something else')
  await expect(session.commit({ seq: 1, time: 1, rows: ROWS, sends: [] })).rejects.toMatchObject({
    details: { applied: 'unknown' },
  })
  expect(await onServer(server).hget('{tasks:n}:p0', 'seq')).toBe('1')
})

test('a user who may not do all of it is told that the outcome is not known, where it is not', async (ctx) => {
  const server = await newServer(ctx)
  await onServer(server).acl('SETUSER', 'some', 'on', '>password', '~*', '&*', '+@all', '-rpush')
  const connection = { username: 'some', password: 'password' }
  const space = await transportOf({ url: server.url, connection }).open({ namespace: 'n', partitions: 1 })
  expect(await commitOf(space, { rows: ROWS, sends: [TASK] })).toMatchObject({
    message: expect.stringContaining('the README has the ACL that suffices'),
    details: { applied: 'unknown' },
  })
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

test('work is finished on a server that is out of memory: parts of batches, suspects, commits that free, claims', async (ctx) => {
  const server = await newServer(ctx)
  const space = await transportOf({ url: server.url }).open({ namespace: 'n', partitions: 1 })
  const { session } = await own(space)
  const toQueue = (queue: string, ids: readonly string[]): Send[] =>
    ids.map((id) => ({ target: { to: 'task', queue }, id, body: Buffer.from(id) }))
  await session.commit({ seq: 1, time: 1, rows: ROWS, sends: [] })
  await space.send([...toQueue('q', ['a', 'b']), ...toQueue('r', ['d', 'e', 'f', 'g'])])
  await space.send([{ target: { to: 'inbox', partition: 0 }, id: 'i', body: Buffer.from('i') }])
  // It dies with both.
  await space.consume({ queues: ['q'], leaseMs: 1 }).receive({ max: 2, waitMs: 0, suspects: false })
  const consumer = space.consume({ queues: ['r'], leaseMs: 60_000 })
  const [d, e, f, g] = await consumer.receive({ max: 4, waitMs: 0, suspects: false })
  await onServer(server).config('SET', 'maxmemory', '1mb')

  await consumer.settle([{ lease: d!, op: 'ack' }], [])
  await consumer.extend([e!, f!, g!])
  await consumer.settle([{ lease: e!, op: 'return', delayMs: 0 }], [])
  await consumer.settle([{ lease: f!, op: 'ack' }], [])
  // Most of it is settled: what is left is moved.
  await consumer.extend([g!])
  await consumer.settle([{ lease: g!, op: 'ack' }], [])
  expect(await consumer.receive({ max: 1, waitMs: 100, suspects: true })).toMatchObject([{ id: 'e' }])
  const suspects = space.consume({ queues: ['q'], leaseMs: 60_000 })
  for (const id of ['a', 'b']) {
    const [suspect] = await suspects.receive({ max: 1, waitMs: 5_000, suspects: true })
    expect(suspect).toMatchObject({ id, deliveries: 2 })
    await suspects.settle([{ lease: suspect!, op: 'ack' }], [])
  }
  expect(await suspects.receive({ max: 1, waitMs: 50, suspects: true })).toEqual([])

  const [message] = await session.poll({ max: 1, waitMs: 5_000 })
  await session.commit({ seq: 2, time: 2, through: message!.position, rows: new Map(), sends: [] })
  await session.commit({ seq: 3, time: 3, rows: new Map([['e/a', null]]), sends: [] })
  await expect(session.commit({ seq: 4, time: 4, rows: ROWS, sends: [] })).rejects.toMatchObject({
    message: expect.stringContaining('out of memory'),
    details: { applied: 'no' },
  })
  await transportOf({ url: server.url }).open({ namespace: 'n' })
  const other = await transportOf({ url: server.url }).open({ namespace: 'n' })
  await space.close()
  expect((await own(other)).session.seq).toBe(3)
}, 60_000)

test('settings of ioredis that would change what answers look like do not', async (ctx) => {
  const server = await newServer(ctx)
  const space = await transportOf({
    url: server.url,
    connection: {
      stringNumbers: true,
      showFriendlyErrorStack: true,
      enableAutoPipelining: true,
      db: 1,
      readOnly: true,
    },
  }).open({ namespace: 'n', partitions: 1 })
  const { session } = await own(space)
  await space.send([TASK, { target: { to: 'inbox', partition: 0 }, id: 'i', body: Buffer.from('i') }])
  const consumer = space.consume({ queues: ['mine'], leaseMs: 60_000 })
  const leases = await consumer.receive({ max: 1, waitMs: 0, suspects: true })
  expect(leases).toMatchObject([{ id: 't', deliveries: 1 }])
  await consumer.extend(leases)
  const [message] = await session.poll({ max: 1, waitMs: 5_000 })
  await session.commit({ seq: 1, time: 1, through: message!.position, rows: ROWS, sends: [] })
  expect(await space.backlog('mine')).toBe(undefined)
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
  const one = tasks.bind('one', () => 1)
  const length = tasks.bind('length', (text: string) => text.length)
  const refusals: string[] = []
  const note = (_: unknown, message: string): void => void refusals.push(message)
  const logger: Logger = { debug: () => {}, info: () => {}, warn: note, error: note }
  const worker = await startWorker({ tasks, transport, partitions: 2, localLane: false, logger })
  const user = createClient({ namespace: 'n', transport, logger })
  const fails = tasks.bind(
    'fails',
    (): number => {
      throw new Error('as it must')
    },
    { retry: { maxRetries: 0 } },
  )
  const patience = { timeoutMs: 10_000 }
  const run = await user.submit(double.send(21).set({ priority: 5 }).continueWith(double), { id: 'run', delayMs: 1 })
  expect(await run.result(patience)).toBe(84)
  expect(await (await user.enqueue(double, 1, { priority: 5, reply: true })).result(patience)).toBe(2)
  expect((await user.list()).pipelines).toHaveLength(1)
  // More than a message takes: in blobs, which go with their run.
  expect(await (await user.submit(length.send('x'.repeat(5 << 20)), { id: 'large' })).result(patience)).toBe(5 << 20)
  await user.delete('large')
  // Control: a signal to all.
  const slept = await user.submit(double.send(1).continueWith(sleep(300)).continueWith(one.send()), { id: 'slept' })
  await slept.pause()
  await slept.resume()
  expect(await slept.result(patience)).toBe(1)
  // Dead letters, redriven and dropped.
  await user.enqueue(fails.send())
  const dead = async (): Promise<readonly string[]> => (await user.deadLetters.list()).map(({ id }) => id)
  await expect.poll(async () => (await dead()).length, { timeout: 10_000 }).toBe(1)
  await user.deadLetters.redrive((await dead())[0]!)
  await expect.poll(async () => (await dead()).length, { timeout: 10_000 }).toBe(1)
  await user.deadLetters.drop((await dead())[0]!)
  expect(await dead()).toEqual([])
  // Events, and a subscription that remembers where it is.
  const heard: string[] = []
  const subscription = await user.subscribe({ name: 'reader', from: 'beginning' }, (batch) => {
    for (const item of batch) if (item.kind === 'event') heard.push(item.event.type)
  })
  await expect.poll(() => heard, { timeout: 10_000 }).toContain('dev.tasks.pipeline.created')
  await user.sendEvent({ key: 'k', value: 1 })
  await subscription.close()
  await user.unsubscribe('reader')
  expect(refusals).toEqual([])
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
