// Which clusters, topics and settings are taken, and what is said of the others.
import type { Transport } from '@tasks/core'
import kafkajs from 'kafkajs'
import type { TestContext } from 'vitest'
import { expect, onTestFinished, test } from 'vitest'
import type { KafkaTransportOptions } from '../src/index'
import { fromUrl, kafkaTransport } from '../src/index'
import { parseUrl } from '../src/url'
import { sharedBroker } from './support/server'

function transportOn(ctx: TestContext, options: KafkaTransportOptions = {}): Transport {
  const transport = kafkaTransport({ url: sharedBroker(ctx).url, ...options })
  onTestFinished(() => transport.close())
  return transport
}

async function admin(ctx: TestContext): Promise<ReturnType<InstanceType<typeof kafkajs.Kafka>['admin']>> {
  const { brokers } = parseUrl(sharedBroker(ctx).url).client
  const made = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin()
  await made.connect()
  onTestFinished(() => made.disconnect())
  return made
}

/** Code and message of what `open` refuses with. */
async function refusalOf(opening: Promise<unknown>): Promise<string> {
  const error = await opening.then(
    () => expect.unreachable('it was taken'),
    (thrown: unknown) => thrown as { readonly code: string; readonly message: string },
  )
  return `${error.code}: ${error.message}`
}

test('names the topics that are missing, with what they must have, when it may not create them', async (ctx) => {
  const refusal = await refusalOf(transportOn(ctx).open({ namespace: 'none', partitions: 3, provision: 'verify' }))
  expect(refusal).toMatch(/^TASKS_NOT_FOUND: .*tasks\.none\.changelog \(3 partitions; cleanup\.policy=compact/s)
  expect(refusal).toMatch(/tasks\.none\.owners \(1 partition; .*message\.timestamp\.type=LogAppendTime/s)
  expect((await (await admin(ctx)).listTopics()).filter((topic) => topic.includes('.none.'))).toEqual([])
})

test('refuses topics whose settings lose messages, and says which they are', async (ctx) => {
  await transportOn(ctx).open({ namespace: 'altered', partitions: 1 })
  const onServer = await admin(ctx)
  await onServer.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name: 'tasks.altered.inbox',
        configEntries: [{ name: 'retention.ms', value: '60000' }],
      },
    ],
  })
  await expect
    .poll(() => refusalOf(transportOn(ctx).open({ namespace: 'altered' })), { timeout: 10_000 })
    .toMatch(/^TASKS_STORE_UNSAFE: .*tasks\.altered\.inbox: retention\.ms=60000 instead of -1.*kafka-configs/s)
})

test('refuses a namespace whose topics were given more partitions', async (ctx) => {
  await transportOn(ctx).open({ namespace: 'grown', partitions: 2 })
  const onServer = await admin(ctx)
  await onServer.createPartitions({ topicPartitions: [{ topic: 'tasks.grown.inbox', count: 3 }] })
  await expect
    .poll(() => refusalOf(transportOn(ctx).open({ namespace: 'grown' })), { timeout: 10_000 })
    .toMatch(/^TASKS_PARTITIONS_MISMATCH: .*tasks\.grown\.inbox has 3 partitions instead of 2/s)
})

test('takes namespaces of any length and characters, and prefixes apart', async (ctx) => {
  for (const namespace of ['x'.repeat(256), `${'x'.repeat(255)}y`, 'é/ .._%', 'a_b', 'a.b']) {
    const space = await transportOn(ctx, { prefix: 'mine' }).open({ namespace, partitions: 1 })
    await space.send([{ target: { to: 'task', queue: 'q' }, id: namespace, body: Buffer.from('') }])
    const other = await transportOn(ctx, { prefix: 'other' }).open({ namespace, partitions: 1 })
    const receive = { max: 10, waitMs: 500, suspects: true }
    expect(await other.consume({ queues: ['q'], leaseMs: 1_000 }).receive({ ...receive, waitMs: 50 })).toEqual([])
    const [lease, ...rest] = await space
      .consume({ queues: ['q'], leaseMs: 1_000 })
      .receive({ ...receive, waitMs: 5_000 })
    expect([lease?.id, rest]).toEqual([namespace, []])
  }
}, 60_000)

test('tells one broker from a replicated cluster', async (ctx) => {
  const transport = transportOn(ctx)
  await transport.open({ namespace: 'durable', partitions: 1 })
  expect(transport.capabilities).toMatchObject({
    durability: 'process',
    server: 'Kafka, 1 broker, 1 replica, min.insync.replicas 1',
  })
})

test('refuses a cluster that promises less than was asked for', async (ctx) => {
  const open = (durability: 'fsync' | 'replicated'): Promise<unknown> =>
    transportOn(ctx, { durability }).open({ namespace: 'durable', partitions: 1 })
  expect(await refusalOf(open('fsync'))).toMatch(/^TASKS_STORE_UNSAFE: .*promise "process".*flush\.messages=1/s)
  expect(await refusalOf(open('replicated'))).toMatch(/^TASKS_STORE_UNSAFE: .*three brokers/s)
})

test('says that no broker can be reached', async () => {
  await expect(fromUrl('kafka://127.0.0.1:1', { patienceMs: 300 })).rejects.toMatchObject({
    code: 'TASKS_UNAVAILABLE',
    message: expect.stringContaining('ECONNREFUSED'),
  })
})

test.each([
  ['kafka://a,b:1', { brokers: ['a:9092', 'b:1'] }],
  ['kafka://[::1]:9092', { brokers: ['[::1]:9092'] }],
  [
    'kafka://me:p%40ss@a?ssl=true&sasl=scram-sha-512',
    {
      brokers: ['a:9092'],
      ssl: true,
      sasl: { mechanism: 'scram-sha-512', username: 'me', password: 'p@ss' },
    },
  ],
])('reads %s', (url, client) => expect(parseUrl(url).client).toEqual(client))

test.each([
  ['kafka://', 'names no broker'],
  ['kafka://a?acks=1', '"acks"'],
  ['kafka://a/topic', '"/topic"'],
  ['kafka://a:b', '"a:b"'],
  ['kafka://a?replicas=none', 'replicas'],
  ['kafka://a?durability=most', '"most"'],
])('refuses %s', (url, why) => {
  expect(() => parseUrl(url)).toThrow(
    expect.objectContaining({ code: 'TASKS_OPTIONS', message: expect.stringContaining(why) }),
  )
})
