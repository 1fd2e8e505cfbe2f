// The floors of Kafka: kafkajs itself, on the same cluster, with records as large as a task's message. Its retries are those that a transaction needs: left alone it sleeps 300 ms after each.
import kafkajs, { type Admin, type Producer } from 'kafkajs'
import { costOfAsync } from '../cost'
import { encodeTaskEnvelope } from './envelopes'
import type { Floors } from './floor'

const OF_A_TRANSACTION = 300
/** Of a topic. */
const PARTITIONS = 4
/** What is sent without transactions: this many records a request, this many requests under way. */
const OF_A_REQUEST = 500
const UNDER_WAY = 8

interface Connected {
  readonly admin: Admin
  readonly transactional: Producer
  readonly plain: Producer
}

export function kafkaFloors(url: string): Floors {
  const { host } = new URL(url.replace('kafka:', 'http:'))
  const retry = { initialRetryTime: 1, factor: 0.1, multiplier: 1.5, retries: 20, maxRetryTime: 200 }
  const kafka = new kafkajs.Kafka({ brokers: [host], logLevel: kafkajs.logLevel.NOTHING, retry })
  const name = `floor-${process.pid}-${Date.now().toString(36)}`
  const value = encodeTaskEnvelope(12_345)
  const topics: string[] = []
  let connecting: Promise<Connected> | undefined

  const newTopic = async (admin: Admin): Promise<string> => {
    const topic = `${name}-${topics.length}`
    topics.push(topic)
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: PARTITIONS }] })
    return topic
  }

  const connect = async (): Promise<Connected> => {
    const admin = kafka.admin()
    const createPartitioner = kafkajs.Partitioners.DefaultPartitioner
    const transactional = kafka.producer({ transactionalId: name, maxInFlightRequests: 1, createPartitioner, retry })
    const plain = kafka.producer({ createPartitioner })
    await Promise.all([admin.connect(), transactional.connect(), plain.connect()])
    await newTopic(admin)
    return { admin, transactional, plain }
  }
  const connected = (): Promise<Connected> => (connecting ??= connect())

  const messages = (partition: number, count: number): { partition: number; value: Buffer }[] =>
    Array.from({ length: count }, () => ({ partition, value: Buffer.from(value) }))

  const commit = async (producer: Producer, records: number): Promise<void> => {
    const transaction = await producer.transaction()
    await transaction.send({ topic: topics[0]!, messages: messages(0, records) })
    await transaction.commit()
  }

  const store = async (producer: Producer, topic: string, count: number): Promise<void> => {
    let sent = 0
    const sender = async (): Promise<void> => {
      while (sent < count) {
        const partition = (sent / OF_A_REQUEST) % PARTITIONS
        const records = Math.min(OF_A_REQUEST, count - sent)
        sent += OF_A_REQUEST
        await producer.send({ topic, acks: -1, messages: messages(Math.floor(partition), records) })
      }
    }
    await Promise.all(Array.from({ length: UNDER_WAY }, sender))
  }

  return {
    items: {
      title: `records of ${value.length} bytes by kafkajs, ${OF_A_TRANSACTION} a transaction, one transaction after the other`,
      async run(count) {
        const { transactional } = await connected()
        return costOfAsync(async () => {
          for (let i = 0; i < count; i += OF_A_TRANSACTION)
            await commit(transactional, Math.min(OF_A_TRANSACTION, count - i))
        })
      },
    },
    steps: {
      title: `one record of ${value.length} bytes by kafkajs in a transaction of its own`,
      async run(count) {
        const { transactional } = await connected()
        return costOfAsync(async () => {
          for (let i = 0; i < count; i++) await commit(transactional, 1)
        })
      },
    },
    sends: {
      title: `records of ${value.length} bytes by kafkajs, acks=all, ${OF_A_REQUEST} a request, ${UNDER_WAY} requests under way, ${PARTITIONS} partitions`,
      async run(count) {
        const { plain } = await connected()
        return costOfAsync(() => store(plain, topics[0]!, count))
      },
    },
    deliveries: {
      title: `records of ${value.length} bytes that are there, read by a group of kafkajs with eachBatch, ${PARTITIONS} partitions; without its beginning`,
      async run(count) {
        const { admin, plain } = await connected()
        const topic = await newTopic(admin)
        await store(plain, topic, count)
        const consumer = kafka.consumer({ groupId: topic })
        await consumer.connect()
        await consumer.subscribe({ topic, fromBeginning: true })
        const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve))
        let seen = 0
        const all = new Promise<void>((resolve, reject) => {
          const eachBatch = async ({ batch }: { batch: { messages: unknown[] } }): Promise<void> => {
            seen += batch.messages.length
            if (seen >= count) resolve()
          }
          consumer.run({ eachBatch }).catch(reject)
        })
        await joined
        const cost = await costOfAsync(() => all)
        await consumer.disconnect()
        return cost
      },
    },
    close() {
      void connecting?.then(async ({ admin, transactional, plain }) => {
        await admin.deleteTopics({ topics })
        await Promise.all([admin, transactional, plain].map((client) => client.disconnect()))
      })
    },
  }
}
