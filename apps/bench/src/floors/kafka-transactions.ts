// The floor of Kafka: kafkajs itself, on the same cluster, with transactions and records as large as a task's message. Its retries are those that a transaction needs: left alone it sleeps 300 ms after each.
import kafkajs, { type Producer } from 'kafkajs'
import { costOfAsync } from '../cost'
import { encodeTaskEnvelope } from './envelopes'
import type { Floors } from './floor'

const BATCH = 300
/** As many as commits of different partitions run at the same time. */
const PRODUCERS = 4

export function kafkaFloors(url: string): Floors {
  const { host } = new URL(url.replace('kafka:', 'http:'))
  const retry = { initialRetryTime: 1, factor: 0.1, multiplier: 1.5, retries: 20, maxRetryTime: 200 }
  const kafka = new kafkajs.Kafka({ brokers: [host], logLevel: kafkajs.logLevel.NOTHING, retry })
  const name = `floor-${process.pid}-${Date.now().toString(36)}`
  const value = encodeTaskEnvelope(12_345)
  let producers: Promise<readonly Producer[]> | undefined

  const connect = async (): Promise<readonly Producer[]> => {
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic: name, numPartitions: PRODUCERS }] })
    await admin.disconnect()
    return Promise.all(
      Array.from({ length: PRODUCERS }, async (_, i) => {
        const producer = kafka.producer({
          transactionalId: `${name}-${i}`,
          maxInFlightRequests: 1,
          createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
          retry,
        })
        await producer.connect()
        return producer
      }),
    )
  }

  const commit = async (producer: Producer, partition: number, records: number): Promise<void> => {
    const transaction = await producer.transaction()
    const messages = Array.from({ length: records }, () => ({ partition, value: Buffer.from(value) }))
    await transaction.send({ topic: name, messages })
    await transaction.commit()
  }

  return {
    items: {
      title: `records of ${value.length} bytes by kafkajs, ${BATCH} a transaction, ${PRODUCERS} transactions at a time`,
      async run(count) {
        const all = await (producers ??= connect())
        return costOfAsync(() =>
          Promise.all(
            all.map(async (producer, partition) => {
              for (let i = partition * BATCH; i < count; i += PRODUCERS * BATCH)
                await commit(producer, partition, Math.min(BATCH, count - i))
            }),
          ),
        )
      },
    },
    steps: {
      title: `one record of ${value.length} bytes by kafkajs in a transaction of its own`,
      async run(count) {
        const [producer] = await (producers ??= connect())
        return costOfAsync(async () => {
          for (let i = 0; i < count; i++) await commit(producer!, 0, 1)
        })
      },
    },
    close() {
      void producers?.then((all) => Promise.all(all.map((producer) => producer.disconnect())))
    },
  }
}
