// Topics of Kafka, by a consumer group of kafkajs 2. A topic acknowledges no single message: a group remembers one offset of each partition, before which everything is done. So its records
// are not handed out to those who wait, they are sent to them as events, and the offset follows behind those that are durable. What comes again after a crash comes under the same id, and has
// no effect.
import { stderrLogger, TaskError, waitForEvent, type BoundListener, type Client, type Logger } from '@tasks/core'
import { pause } from './pause'
import { fromJson, type DecodeOptions } from './queue-listener'
import type { MessageReceiver, ReceivedMessage } from './receive-messages'

/** What is asked of a consumer: that of kafkajs has it. */
export interface TopicConsumer {
  connect(): Promise<void>
  subscribe(subscription: { topics: string[]; fromBeginning: boolean }): Promise<void>
  run(how: { eachBatchAutoResolve: false; eachBatch(payload: TopicBatch): Promise<void> }): Promise<void>
  disconnect(): Promise<void>
}

export interface TopicBatch {
  readonly batch: {
    readonly topic: string
    readonly partition: number
    readonly messages: readonly TopicRecord[]
  }
  resolveOffset(offset: string): void
  heartbeat(): Promise<void>
  /** Of its partition; answers how to go on. */
  pause(): () => void
  isStale(): boolean
}

export interface TopicRecord {
  readonly offset: string
  readonly value: Uint8Array | null
}

export interface TopicOptions<Value> extends DecodeOptions<Value> {
  /** Of kafkajs, not connected yet: `kafka.consumer({ groupId })`. Its group remembers what is done; all processes of a group share the partitions. */
  readonly consumer: TopicConsumer
  readonly topic: string
  /** Whether a group that is new begins with what is there already. Default true. */
  readonly fromBeginning?: boolean
  /** Records of a partition at a time. Default 100. */
  readonly concurrency?: number
  readonly logger?: Logger
}

export interface TopicQueue<Value> extends BoundListener<[], Value> {
  /** Sends the records of a topic to those who wait, until it is closed: from any process, worker or not. Resolves when the consumer runs. */
  feed(client: Pick<Client, 'sendEvent'>, options: TopicOptions<Value>): Promise<MessageReceiver>
}

export interface TopicQueueOptions {
  /** How long a record is kept that nobody waits for, and known when it comes again, in ms. Default 7 days. */
  readonly keepMs?: number
}

const PAUSE_MS = 1_000

/** How pipelines wait for the records of a topic: `waitForEvent(orders)`. Each goes to one of them. The name is theirs, in the namespace. */
export function topicQueue<Value = unknown>(name: string, { keepMs }: TopicQueueOptions = {}): TopicQueue<Value> {
  const key = `topic:${name}`
  const kept = keepMs === undefined ? {} : { keepMs }
  return {
    listenerName: name,
    wait: () => waitForEvent<Value>({ key }),
    feed(client, options) {
      const { logger = stderrLogger() } = options
      return receiveRecords<Value>(options, async ({ id, value }) => {
        try {
          await client.sendEvent({ key, value, id, wakes: 'one', ...kept })
        } catch (error) {
          // It would be the next time, too, and its partition would wait for it for ever.
          if (!TaskError.is(error) || error.code !== 'TASKS_VALUE_TOO_LARGE') throw error
          logger.error({ error, message: id }, 'a record is too large for an event, and is passed over')
        }
      })
    },
  }
}

/**
 * Calls `handle` for each record, at least once, those of a partition in parts that follow each other; the group's offset follows behind what has been handled. One for which it throws
 * comes again, with those behind it, and its partition waits for it. What cannot be decoded is told to the logger and passed over; a record without a value is nothing. Resolves when the
 * consumer runs.
 */
export async function receiveRecords<Value = unknown>(
  options: TopicOptions<Value>,
  handle: (message: ReceivedMessage<Value>) => unknown,
): Promise<MessageReceiver> {
  const {
    consumer,
    topic,
    fromBeginning = true,
    decode = fromJson,
    concurrency = 100,
    logger = stderrLogger(),
  } = options
  const stop = new AbortController()
  const { signal } = stop

  const eachBatch = async ({
    batch,
    resolveOffset,
    heartbeat,
    pause: pausePartition,
    isStale,
  }: TopicBatch): Promise<void> => {
    const isHandled = async ({ offset, value }: TopicRecord): Promise<boolean> => {
      if (value === null) return true
      const id = `${batch.topic}/${batch.partition}/${offset}`
      let decoded: Value
      try {
        decoded = decode(new TextDecoder().decode(value))
      } catch (error) {
        logger.error({ error, message: id }, 'a record cannot be decoded, and is passed over')
        return true
      }
      try {
        await handle({ id, value: decoded })
        return true
      } catch (error) {
        logger.error({ error, message: id }, 'a record could not be handled: it comes again')
        return false
      }
    }

    for (let at = 0; at < batch.messages.length && !signal.aborted && !isStale(); at += concurrency) {
      const records = batch.messages.slice(at, at + concurrency)
      const handled = await Promise.all(records.map(isHandled))
      const failed = handled.indexOf(false)
      const done = failed < 0 ? records.length : failed
      if (done > 0) resolveOffset(records[done - 1]!.offset)
      if (failed >= 0) {
        // It is read again from there on; meanwhile the others are.
        const resume = pausePartition()
        void pause(PAUSE_MS, signal).then(resume)
        return
      }
      await heartbeat()
    }
  }

  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning })
  await consumer.run({ eachBatchAutoResolve: false, eachBatch })
  const close = async (): Promise<void> => {
    stop.abort()
    // What it has begun is handled, and its offset stored, before it leaves the group.
    await consumer.disconnect()
  }
  return { close, [Symbol.asyncDispose]: close }
}
