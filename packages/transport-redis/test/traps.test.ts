// What goes wrong between a client library and a server, each through a network that does it on purpose.
import { own } from '@tasks/conformance/vitest'
import { Redis } from 'ioredis'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { commit } from '../src/scripts/commit'
import { receive } from '../src/scripts/receive'
import { send } from '../src/scripts/send'
import { bench, onServer, openOn, proxyTo, received, toInbox, toTask, urlOf } from './support/network'
import { newServer } from './support/server'

const SCRIPTS = [commit, receive, send]

test('ioredis left alone executes a command again when its answer was lost', async (ctx) => {
  const server = await newServer(ctx)
  const proxy = await proxyTo(server)
  const client = new Redis({ host: '127.0.0.1', port: proxy.port }).on('error', () => {})
  onTestFinished(() => client.disconnect())
  await client.ping()
  const sprung = proxy.trap('incr', 'unanswered')
  // This is the trap: asked once, counted twice.
  expect(await client.incr('counter')).toBe(2)
  await sprung
})

test('a send whose answer was lost is made once, and reported as not known', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, SCRIPTS)
  await space.send([toTask('before')])
  const sprung = proxy.trap(send.sha, 'unanswered')
  const [outcome] = await space.send([toTask('once')])
  await sprung
  expect(outcome).toMatchObject({ ok: false, certain: false, error: { code: 'TASKS_UNAVAILABLE' } })
  expect(await space.send([toTask('after')])).toEqual([{ ok: true }])
  expect(await received(other)).toEqual(['before', 'once', 'after'])
})

test('a commit whose answer was lost is asked for again, and was applied once', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, SCRIPTS)
  const { session } = await own(space)
  const sprung = proxy.trap(commit.sha, 'unanswered')
  await session.commit({ seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('1')]]), sends: [toTask('once')] })
  await sprung
  await session.commit({ seq: 2, time: 2, rows: new Map(), sends: [] })
  expect(await received(other)).toEqual(['once'])
})

test('a commit whose answer was lost, and whose partition was taken before it could ask, is not called refused', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, SCRIPTS)
  const { session } = await own(space, 300)
  const sprung = proxy.trap(commit.sha, 'unanswered')
  const committed = session.commit({ seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('1')]]), sends: [] })
  committed.catch(() => {})
  proxy.refuse()
  await sprung
  const { session: next } = await own(other)
  expect(next.seq).toBe(1)
  proxy.accept()
  await expect(committed).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
})

test('a receive whose answer was lost gets the same messages, not a lease later', async (ctx) => {
  const { proxy, space } = await bench(ctx, SCRIPTS)
  await space.send(['a', 'b', 'c'].map((id) => toTask(id)))
  const sprung = proxy.trap(receive.sha, 'unanswered')
  expect(await received(space)).toEqual(['a', 'b', 'c'])
  await sprung
})

test('a batch that a receive gets late, since the answer was lost, has a lease from then on', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, SCRIPTS, { patienceMs: 10_000 })
  await space.send([toTask('a'), toTask('b')])
  const sprung = proxy.trap(receive.sha, 'unanswered')
  const receiving = received(space, { leaseMs: 2_000 })
  proxy.refuse()
  await sprung
  await sleep(1_500)
  proxy.accept()
  expect(await receiving).toEqual(['a', 'b'])
  expect(await received(other, { suspects: true, waitMs: 1_000 })).toEqual([])
})

test('a batch of which others have taken a member since is not handed out again as a whole', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, SCRIPTS, { patienceMs: 10_000 })
  await space.send([toTask('a'), toTask('b')])
  const sprung = proxy.trap(receive.sha, 'unanswered')
  const receiving = received(space, { leaseMs: 300 })
  proxy.refuse()
  await sprung
  expect(await received(other, { suspects: true, waitMs: 5_000 })).toEqual(['a'])
  proxy.accept()
  expect(await receiving).toEqual([])
  expect(await received(other, { suspects: true, waitMs: 5_000 })).toEqual(['b'])
})

test('a receive of few small messages before many large ones takes no more than it can carry', async (ctx) => {
  const { space } = await bench(ctx, SCRIPTS)
  const large = Buffer.alloc(32 * 1024)
  for (const priority of [0, 1]) {
    const send = (id: string, body: Buffer): Promise<unknown> =>
      space.send([{ target: { to: 'task', queue: 'q', priority }, id, body }])
    for (let i = 0; i < 40; i++) await send(`${i}`, Buffer.alloc(10))
    for (let i = 40; i < 70; i++) await send(`${i}`, large)
    // Some 64 KiB at a time, and all of them in the end, in their order.
    const batches: string[][] = []
    for (let count = 0; count < 70; count += batches.at(-1)!.length) batches.push(await received(space))
    expect(Math.max(...batches.slice(1).map((batch) => batch.length))).toBeLessThan(6)
    expect(batches[0]!.length).toBeLessThan(45)
    expect(batches.flat()).toEqual(Array.from({ length: 70 }, (_, i) => `${i}`))
  }
})

test('who accepts a connection and never says a word is not waited for', async (ctx) => {
  const server = await newServer(ctx)
  const proxy = await proxyTo(server)
  void proxy.hold(() => true)
  const space = await openOn(urlOf(proxy), { patienceMs: 4_000 })
  expect(await space.now()).toBeGreaterThan(0)
})

test('an answer that has come while this process did not listen is heard', async (ctx) => {
  const { space, other } = await bench(ctx, SCRIPTS, { patienceMs: 1_000 })
  const sent = space.send([toTask('a')])
  await new Promise(setImmediate)
  // Longer than a server may be silent.
  const until = performance.now() + 1_500
  while (performance.now() < until);
  expect(await sent).toEqual([{ ok: true }])
  expect(await received(other)).toEqual(['a'])
})

test('what is called while there is no connection is not sent later', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, SCRIPTS, { patienceMs: 600 })
  proxy.refuse()
  proxy.cut()
  await expect(space.now()).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  const [outcome] = await space.send([toTask('never')])
  expect(outcome).toMatchObject({ ok: false, certain: true, error: { code: 'TASKS_UNAVAILABLE' } })
  proxy.accept()
  await expect.poll(async () => (await space.send([toTask('now')]))[0]!.ok).toBe(true)
  expect((await received(other)).filter((id) => id === 'never')).toEqual([])
})

test('a call settles although the other end is gone without a word, and the next one works', async (ctx) => {
  const { proxy, space } = await bench(ctx, SCRIPTS, { patienceMs: 1_000 })
  proxy.hang()
  // Asked again on a new connection, since it only reads.
  expect(await space.now()).toBeGreaterThan(0)
  expect(await space.send([toTask('a')])).toEqual([{ ok: true }])
})

test('a receive and a poll that wait hear of what came while the other end was gone without a word', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, SCRIPTS, { patienceMs: 1_000 })
  const { session } = await own(space)
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const receiving = consumer.receive({ max: 10, waitMs: 30_000, suspects: false })
  const polling = session.poll({ max: 10, waitMs: 30_000 })
  await space.now()
  proxy.hang()
  await other.send([toTask('a'), toInbox('i')])
  expect((await polling).map(({ id }) => id)).toEqual(['i'])
  expect((await receiving).map(({ id }) => id)).toEqual(['a'])
})

test('waiting takes no connection of its own, and holds up nothing', async (ctx) => {
  const { proxy, space } = await bench(ctx, SCRIPTS)
  const consumers = Array.from({ length: 20 }, (_, i) => space.consume({ queues: [`idle ${i}`], leaseMs: 60_000 }))
  const waits = consumers.map((consumer) => consumer.receive({ max: 1, waitMs: 30_000, suspects: true }))
  expect(await space.send([toTask('a')])).toEqual([{ ok: true }])
  expect(proxy.connections).toBe(2)
  for (const consumer of consumers) await consumer.close()
  expect((await Promise.all(waits)).flat()).toEqual([])
})

test('a server that has forgotten its scripts is told them again', async (ctx) => {
  const { server, space } = await bench(ctx, SCRIPTS)
  const client = onServer(server)
  const { session } = await own(space)
  for (let seq = 1; seq <= 3; seq++) {
    await client.script('FLUSH')
    await session.commit({ seq, time: seq, rows: new Map(), sends: [toTask(`t${seq}`)] })
  }
  expect(await received(space)).toEqual(['t1', 't2', 't3'])
})

test('a slow network costs time, and nothing else', async (ctx) => {
  const { proxy, space } = await bench(ctx, SCRIPTS)
  proxy.delay(20)
  const { session } = await own(space)
  const polling = session.poll({ max: 10, waitMs: 10_000 })
  await space.send([toInbox('i')])
  const [message] = await polling
  await session.commit({ seq: 1, time: 1, through: message!.position, rows: new Map(), sends: [toTask('a')] })
  expect(await received(space)).toEqual(['a'])
})

test('a connection that is cut again and again loses nothing and repeats no commit', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, SCRIPTS, { patienceMs: 10_000 })
  const { session } = await own(space)
  const cutting = setInterval(() => proxy.cut(), 15)
  onTestFinished(() => clearInterval(cutting))
  for (let seq = 1; seq <= 100; seq++)
    await session.commit({
      seq,
      time: seq,
      rows: new Map([['e/n', Buffer.from(`${seq}`)]]),
      sends: [toTask(`t${seq}`)],
    })
  clearInterval(cutting)
  expect(await received(other)).toEqual(Array.from({ length: 100 }, (_, i) => `t${i + 1}`))
})

test('a replica that takes over without the last commits has no owner but a new one, with a higher epoch', async (ctx) => {
  const [primary, replica] = [
    await newServer(ctx, { settings: ['--repl-diskless-sync-delay', '0'] }),
    await newServer(ctx),
  ]
  const [proxy, replication] = [await proxyTo(primary), await proxyTo(primary)]
  const onReplica = onServer(replica)
  await onReplica.replicaof('127.0.0.1', replication.port)
  const space = await openOn(urlOf(proxy), { patienceMs: 10_000 })
  const { session: old } = await own(space, 1_000)
  await old.commit({ seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('kept')]]), sends: [] })
  await expect.poll(() => onReplica.exists('{tasks:traps}:p0:rows'), { timeout: 10_000 }).toBe(1)
  replication.hang()
  await old.commit({ seq: 2, time: 2, rows: new Map([['e/a', Buffer.from('lost')]]), sends: [toTask('lost')] })

  primary.kill('SIGKILL')
  proxy.leadTo(replica.port)
  // Still a replica: it refuses writes until it is told, and the call waits for that.
  const stale = old.commit({ seq: 3, time: 3, rows: new Map([['e/a', Buffer.from('stale')]]), sends: [] })
  stale.catch(() => {})
  await expect.poll(() => proxy.connections).toBeGreaterThan(2)
  await onReplica.replicaof('NO', 'ONE')
  await expect(stale).rejects.toMatchObject({ code: expect.stringMatching(/TASKS_(FENCED|UNAVAILABLE)/) })

  await space.close()
  const afterwards = await openOn(replica.url)
  const { session: next } = await own(afterwards, 1_000)
  expect(next.seq).toBe(1)
  expect(next.epoch).toBeGreaterThan(old.epoch)
  expect(String((await next.load(['e/a']))[0])).toBe('kept')
  expect(await received(afterwards)).toEqual([])
}, 30_000)

test.for(['nothing came since', 'something came since'] as const)(
  'a session of a store that lost what it has read ends, and loses no message that the store has: %s',
  { timeout: 60_000 },
  async (since, ctx) => {
    const [primary, replica] = [
      await newServer(ctx, { settings: ['--repl-diskless-sync-delay', '0'] }),
      await newServer(ctx),
    ]
    const [proxy, replication] = [await proxyTo(primary), await proxyTo(primary)]
    const onReplica = onServer(replica)
    await onReplica.replicaof('127.0.0.1', replication.port)
    const space = await openOn(urlOf(proxy), { patienceMs: 10_000 })
    const { session } = await own(space)
    await session.commit({ seq: 1, time: 1, rows: new Map(), sends: [] })
    await expect.poll(() => onReplica.hget('{tasks:traps}:p0', 'seq'), { timeout: 10_000 }).toBe('1')
    replication.hang()
    await space.send([toInbox('lost')])
    const [message] = await session.poll({ max: 10, waitMs: 5_000 })
    // Nothing but the inbox is behind: the number of the commits is the same on both.
    if (since === 'nothing came since')
      await session.commit({ seq: 2, time: 2, through: message!.position, rows: new Map(), sends: [] })

    primary.kill('SIGKILL')
    proxy.leadTo(replica.port)
    await onReplica.replicaof('NO', 'ONE')
    const after = await openOn(replica.url, { patienceMs: 10_000 })
    expect(await after.send([toInbox('stored')])).toEqual([{ ok: true }])
    const asked =
      since === 'something came since'
        ? session.commit({ seq: 2, time: 2, through: message!.position, rows: new Map(), sends: [] })
        : session.poll({ max: 10, waitMs: 20_000 })
    // A commit may have been on its way to the primary when that was killed.
    await expect(asked).rejects.toMatchObject({ code: expect.stringMatching(/TASKS_(FENCED|UNAVAILABLE)/) })
    await space.close()
    const { session: next } = await own(after)
    expect((await next.poll({ max: 10, waitMs: 5_000 })).map(({ id }) => id)).toEqual(['stored'])
  },
)

test('a large commit gets through a slow network, and is not taken for silence', async (ctx) => {
  const { proxy, space } = await bench(ctx, SCRIPTS)
  const { session } = await own(space)
  // With this patience a connection is silent after a second; the commit takes three.
  proxy.throttle(1_000)
  const value = Buffer.alloc(3_000_000)
  const connections = proxy.connections
  await session.commit({ seq: 1, time: 1, rows: new Map([['e/a', value]]), sends: [] })
  proxy.throttle(Infinity)
  expect((await session.load(['e/a']))[0]).toHaveLength(value.length)
  expect(proxy.connections).toBe(connections)
}, 60_000)
