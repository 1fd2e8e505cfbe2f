import { describeListener } from '@tasks/conformance/vitest'
import { createClient, createTasks, startWorker, waitForEvent, type Client } from '@tasks/core'
import { memoryTransport } from '@tasks/core/memory'
import { silentLogger } from '@tasks/core/testing'
import { startKafka, type Server } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import kafkajs, { type Consumer } from 'kafkajs'
import { connect, type Socket } from 'node:net'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { receiveRecords, topicQueue, type TopicOptions } from '../src/kafka'
import { eventually } from './support/eventually'

interface Order {
  readonly nth: number
}

const PARTITIONS = 2
/** How long the others wait for one that has died: a broker takes no less. */
const SESSION_MS = 6_000
const PATIENCE_MS = 60_000

async function onKafka(server: Server): Promise<void> {
  const brokers = [`127.0.0.1:${server.port}`]
  const quiet = { brokers, logLevel: kafkajs.logLevel.NOTHING }
  const outside = new kafkajs.Kafka(quiet)
  const admin = outside.admin()
  const producer = outside.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await Promise.all([admin.connect(), producer.connect()])
  afterAll(async () => {
    await Promise.all([admin.disconnect(), producer.disconnect()])
    await server.stop()
  })

  let topics = 0
  const newTopic = async (): Promise<string> => {
    const topic = `orders-${topics++}`
    // Whoever waits for its leaders as kafkajs does may be told that there is no such topic.
    await admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: PARTITIONS }] })
    await eventually(async () => expect(await admin.fetchTopicOffsets(topic)).toHaveLength(PARTITIONS))
    return topic
  }
  const push = async (topic: string, partition: number, ...values: readonly (string | null)[]): Promise<void> => {
    await producer.send({ topic, messages: values.map((value) => ({ partition, value })) })
  }
  /** By partition: before which record everything is done. */
  const done = async (topic: string): Promise<readonly number[]> => {
    const [found] = await admin.fetchOffsets({ groupId: topic, topics: [topic] })
    const offsets = [...found!.partitions].sort((a, b) => a.partition - b.partition)
    return offsets.map(({ offset }) => Math.max(0, Number(offset)))
  }

  /** A process's consumer of a topic, and what SIGKILL does to it: nothing more is said to the broker. */
  const member = (topic: string): { readonly consumer: Consumer; die(): void } => {
    const sockets = new Set<Socket>()
    let dead = false
    const kafka = new kafkajs.Kafka({
      ...quiet,
      retry: { initialRetryTime: 50, maxRetryTime: 500 },
      socketFactory({ host, port, onConnect }) {
        const socket = connect({ host, port }, onConnect)
        sockets.add(socket)
        if (dead) socket.destroy()
        return socket
      },
    })
    const consumer = kafka.consumer({ groupId: topic, sessionTimeout: SESSION_MS, heartbeatInterval: 500 })
    return {
      consumer,
      die() {
        dead = true
        for (const socket of sockets) socket.destroy()
        consumer.disconnect().catch(() => undefined)
      },
    }
  }

  describeListener('a topic of Kafka', {
    name: 'kafka topic',
    eventuallyMs: PATIENCE_MS,
    async create({ client }) {
      const topic = await newTopic()
      const orders = topicQueue<Order>('orders')
      const sent = new Set<number>()
      return {
        process() {
          const { consumer, die } = member(topic)
          orders.feed(client, { consumer, topic, logger: silentLogger }).catch(() => undefined)
          return { wait: () => waitForEvent(orders), die }
        },
        async occur(nth) {
          sent.add(nth)
          await push(topic, nth % PARTITIONS, JSON.stringify({ nth }))
          return { nth }
        },
        hasOccurred: (nth) => sent.has(nth),
      }
    },
  })

  const listening = async (): Promise<Client> => {
    const transport = memoryTransport()
    const tasks = createTasks({ namespace: 'topics' })
    const worker = await startWorker({ tasks, transport, roles: ['owner'], logger: silentLogger })
    const client = createClient({ namespace: 'topics', transport })
    onTestFinished(async () => {
      await client.close()
      await worker.close()
      await transport.close()
    })
    return client
  }
  const receiving = async (
    options: TopicOptions<number>,
    handle: Parameters<typeof receiveRecords<number>>[1],
  ): Promise<void> => {
    const receiver = await receiveRecords(options, handle)
    onTestFinished(() => receiver.close())
  }

  test(
    'a record that was sent on by a process that died before its offset was stored comes again, and is one event',
    async () => {
      const topic = await newTopic()
      const client = await listening()
      const orders = topicQueue<number>('orders')
      const doomed = member(topic)
      const sent: string[] = []
      const record = (ended: () => void): Pick<Client, 'sendEvent'> => ({
        async sendEvent(event) {
          const id = await client.sendEvent(event)
          sent.push(id)
          ended()
          return id
        },
      })
      await push(topic, 0, '1')
      await orders.feed(record(doomed.die), { consumer: doomed.consumer, topic, logger: silentLogger })
      await eventually(() => expect(sent).toHaveLength(1))
      expect(await done(topic)).toEqual([0, 0])
      const heir = member(topic)
      const feed = await orders.feed(
        record(() => undefined),
        { consumer: heir.consumer, topic, logger: silentLogger },
      )
      onTestFinished(() => feed.close())
      await eventually(() => expect(sent).toEqual([`${topic}/0/0`, `${topic}/0/0`]))
      const [first, second] = [await client.submit(waitForEvent(orders)), await client.submit(waitForEvent(orders))]
      await push(topic, 1, '2')
      const got = [await first.result(), await second.result()]
      expect(got.sort()).toEqual([1, 2])
      await eventually(async () => expect(await done(topic)).toEqual([1, 1]))
    },
    PATIENCE_MS,
  )

  test(
    'a record that is too large for an event is passed over, and holds up nobody',
    async () => {
      const topic = await newTopic()
      const client = await listening()
      const orders = topicQueue<string>('orders')
      await push(topic, 0, JSON.stringify('x'.repeat(64 << 10)), JSON.stringify('small'))
      const feed = await orders.feed(client, { consumer: member(topic).consumer, topic, logger: silentLogger })
      onTestFinished(() => feed.close())
      expect(await (await client.submit(waitForEvent(orders))).result()).toBe('small')
      await eventually(async () => expect(await done(topic)).toEqual([2, 0]))
    },
    PATIENCE_MS,
  )

  test(
    'the offset follows what is handled, and waits for what is not',
    async () => {
      const topic = await newTopic()
      const seen: string[] = []
      let refused = true
      const { consumer } = member(topic)
      await receiving({ consumer, topic, concurrency: 2, logger: silentLogger }, ({ id, value }) => {
        if (value === 3 && refused) throw new Error('not now')
        seen.push(`${id}: ${value}`)
      })
      await push(topic, 0, '0', 'no JSON', null, '3', '4')
      await push(topic, 1, '10')
      await eventually(async () => expect((await done(topic))[1]).toBe(1))
      await eventually(async () => expect((await done(topic))[0]).toBe(3))
      expect(seen).not.toContain(`${topic}/0/4: 4`)
      refused = false
      await eventually(async () => expect(await done(topic)).toEqual([5, 1]))
      expect(seen.sort()).toEqual([`${topic}/0/0: 0`, `${topic}/0/3: 3`, `${topic}/0/4: 4`, `${topic}/1/0: 10`])
    },
    PATIENCE_MS,
  )

  test(
    'whoever closes stores how far it has come, and the next goes on from there',
    async () => {
      const topic = await newTopic()
      const seen: number[] = []
      const first = await receiveRecords<number>({ consumer: member(topic).consumer, topic }, ({ value }) =>
        seen.push(value),
      )
      await push(topic, 0, '1', '2')
      await eventually(() => expect(seen).toEqual([1, 2]))
      await first.close()
      expect(await done(topic)).toEqual([2, 0])
      await push(topic, 0, '3')
      await receiving({ consumer: member(topic).consumer, topic }, ({ value }) => seen.push(value))
      await eventually(() => expect(seen).toEqual([1, 2, 3]))
    },
    PATIENCE_MS,
  )
}

const server = await serverOrReason(() => startKafka({ brief: true }))
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test('Kafka', (ctx) => ctx.skip(server))
else await onKafka(server)
