// Which clusters, topics and settings are taken, and what is said of the others.
import type { Logger, Transport } from '@tasks/core'
import kafkajs from 'kafkajs'
import type { TestContext } from 'vitest'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { ClusterFacts, KafkaDriver, TopicFacts } from '../src/driver'
import { checkDurability, durabilityOf, replicationOf } from '../src/durability'
import type { KafkaTransportOptions } from '../src/index'
import { fromUrl, kafkaTransport } from '../src/index'
import type { DriverOptions } from '../src/transport'
import { transportOn as transportOnDriver } from '../src/transport'
import { parseUrl } from '../src/url'
import { boundTo, newDriver, sharedBroker } from './support/server'

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

test('refuses fewer replicas than were asked for, and will not create fewer', async (ctx) => {
  await transportOn(ctx).open({ namespace: 'few', partitions: 1 })
  expect(await refusalOf(transportOn(ctx, { replicas: 3 }).open({ namespace: 'few' }))).toMatch(
    /^TASKS_STORE_UNSAFE: .*tasks\.few\.inbox: 1 replica instead of 3.*tasks\.few\.inbox: min\.insync\.replicas=1 instead of 2/s,
  )
  expect(await refusalOf(transportOn(ctx, { replicas: 3 }).open({ namespace: 'fewer', partitions: 1 }))).toMatch(
    /^TASKS_UNAVAILABLE: .*INVALID_REPLICATION_FACTOR/,
  )
})

/** On the broker, with other facts. */
function withFacts(
  ctx: TestContext,
  facts: Partial<Pick<KafkaDriver, 'cluster' | 'describe' | 'ends'>>,
): DriverOptions {
  const driver = newDriver(ctx, parseUrl(sharedBroker(ctx).url).client)
  return { driver: { ...boundTo(driver), ...facts } }
}

test('says of topics that could have more replicas that they have not, or refuses them where they are to be verified', async (ctx) => {
  await transportOn(ctx).open({ namespace: 'few', partitions: 1 })
  const logger = { debug: vi.fn<Logger['debug']>(), warn: vi.fn<Logger['warn']>() }
  const cluster = (): Promise<ClusterFacts> => Promise.resolve({ brokers: 3, version: '3 brokers' })
  const options = { ...withFacts(ctx, { cluster }), logger }
  await transportOnDriver(options).open({ namespace: 'few' })
  expect(logger.warn.mock.lastCall?.[1]).toMatch(/tasks\.few\.meta: 1 replica instead of 3/)
  expect(await refusalOf(transportOnDriver(options).open({ namespace: 'few', provision: 'verify' }))).toMatch(
    /^TASKS_STORE_UNSAFE: .*tasks\.few\.meta: 1 replica instead of 3/s,
  )
})

test('refuses topics whose settings it may not look at', async (ctx) => {
  await transportOn(ctx).open({ namespace: 'few', partitions: 1 })
  const driver = newDriver(ctx, parseUrl(sharedBroker(ctx).url).client)
  const describe: KafkaDriver['describe'] = async (topics) =>
    new Map([...(await driver.describe(topics))].map(([topic, facts]) => [topic, { ...facts, settings: undefined }]))
  expect(await refusalOf(transportOnDriver(withFacts(ctx, { describe })).open({ namespace: 'few' }))).toMatch(
    /^TASKS_UNAVAILABLE: .*may not look at the settings of tasks\.few\.meta.*DescribeConfigs/,
  )
})

test('a cluster is as durable as the topic by which commits end', () => {
  const topic = (replicas: number, least: number): TopicFacts => ({
    partitions: 1,
    replicas,
    settings: { 'min.insync.replicas': `${least}` },
  })
  const topics = new Map([['a', topic(3, 2)]])
  const said = (ends: TopicFacts | undefined): unknown => {
    const stores = { topics, ends }
    return [durabilityOf(stores), replicationOf(stores)]
  }
  const ours = '3 replicas, min.insync.replicas 2'
  expect(said(topic(3, 2))).toEqual(['replicated', ours])
  expect(said(topic(1, 1))).toEqual(['process', `${ours}, __transaction_state 1 replica, min.insync.replicas 1`])
  expect(said(undefined)).toEqual(['process', `${ours}, __transaction_state may not be looked at`])
  const refusal = (ends: TopicFacts | undefined) => () => checkDurability('n', { topics, ends }, 'replicated')
  expect(refusal(topic(3, 2))).not.toThrow()
  expect(refusal(topic(3, 1))).toThrow(/__transaction_state needs several replicas, too/)
  expect(refusal(undefined)).toThrow(/DescribeConfigs on __transaction_state/)
})

test('refuses leases that are longer than what is kept of who owns what', async (ctx) => {
  const space = await transportOn(ctx).open({ namespace: 'few', partitions: 1 })
  expect(() => space.own({ leaseMs: 1_800_000 })).toThrow(expect.objectContaining({ code: 'TASKS_OPTIONS' }))
})

test('what kafkajs says is heard by the logger that a URL is opened with', async () => {
  const logger = { debug: vi.fn<Logger['debug']>(), warn: vi.fn<Logger['warn']>() }
  await expect(fromUrl('kafka://127.0.0.1:1', { patienceMs: 300, logger })).rejects.toThrow('ECONNREFUSED')
  expect(logger.debug.mock.calls.map(([, message]) => message)).toContainEqual(
    expect.stringMatching(/^kafkajs: .*ECONNREFUSED/),
  )
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
