// The requests that are made of brokers, written and read by us, each in a version that Kafka 3.9 and 4 take and that has no tagged fields: libraries decode every record into an
// object of nine fields, and tell neither an empty batch from no batch nor what an error code was.
import type { Place } from '../driver'
import type { RequestHead } from './connection'
import type { Aborted } from './record-batch'

/** A request: how it is written, and how its answer is read. */
export interface Api<Question, Answered> extends RequestHead {
  encode(question: Question): Buffer
  decode(answer: Buffer): Answered
}

interface Coded {
  readonly code: number
}

// ---- Records

export interface EncodedBatch extends Place {
  readonly bytes: Buffer
}

export interface ProduceQuestion {
  readonly transactionalId: string | null
  readonly timeoutMs: number
  /** At most one for each partition. */
  readonly batches: readonly EncodedBatch[]
}

export interface ProduceAnswer extends Place, Coded {
  readonly offset: number
}

const ALL_IN_SYNC = -1

export const PRODUCE: Api<ProduceQuestion, readonly ProduceAnswer[]> = {
  key: 0,
  version: 3,
  name: 'Produce',
  encode: ({ transactionalId, timeoutMs, batches }) =>
    new Body()
      .string(transactionalId)
      .int16(ALL_IN_SYNC)
      .int32(timeoutMs)
      .byTopic(batches, (body, { partition, bytes }) => body.int32(partition).int32(bytes.length).bytes(bytes))
      .end(),
  decode: (payload) =>
    new Answer(payload).byTopic((answer, topic) => {
      const found = { topic, partition: answer.int32(), code: answer.int16(), offset: answer.int64() }
      answer.int64()
      return found
    }),
}

export interface FetchPlace extends Place {
  readonly from: number
}

export interface FetchQuestion {
  readonly places: readonly FetchPlace[]
  readonly waitMs: number
  readonly maxBytes: number
  readonly maxPartitionBytes: number
}

export interface FetchAnswer extends Place, Coded {
  /** Behind the last record that can be read. */
  readonly end: number
  readonly start: number
  readonly aborted: readonly Aborted[]
  readonly batches: Buffer
}

const NO_REPLICA = -1
const READ_COMMITTED = 1

export const FETCH: Api<FetchQuestion, readonly FetchAnswer[]> = {
  key: 1,
  version: 5,
  name: 'Fetch',
  encode: ({ places, waitMs, maxBytes, maxPartitionBytes }) =>
    new Body()
      .int32(NO_REPLICA)
      .int32(waitMs)
      .int32(1)
      .int32(maxBytes)
      .int8(READ_COMMITTED)
      .byTopic(places, (body, { partition, from }) =>
        body.int32(partition).int64(from).int64(-1).int32(maxPartitionBytes),
      )
      .end(),
  decode: (payload) =>
    new Answer(payload).throttle().byTopic((answer, topic) => {
      const partition = answer.int32()
      const code = answer.int16()
      answer.int64()
      const end = answer.int64()
      const start = answer.int64()
      const aborted = answer.list(() => ({ producerId: answer.bigint(), firstOffset: answer.int64() }))
      return { topic, partition, code, end, start, aborted, batches: answer.rest(answer.int32()) }
    }),
}

// ---- Offsets

export interface OffsetsQuestion extends Place {
  /** Of the first record that is not older; -1: the end, -2: the start. */
  readonly time: number
}

export const LIST_OFFSETS: Api<OffsetsQuestion, Coded & { readonly offset: number }> = {
  key: 2,
  version: 2,
  name: 'ListOffsets',
  encode: (question) =>
    new Body()
      .int32(NO_REPLICA)
      .int8(READ_COMMITTED)
      .byTopic([question], (body, { partition, time }) => body.int32(partition).int64(time))
      .end(),
  decode: (payload) => {
    const [found] = new Answer(payload).throttle().byTopic((answer) => {
      answer.int32()
      const code = answer.int16()
      answer.int64()
      return { code, offset: answer.int64() }
    })
    return found!
  },
}

export const DELETE_RECORDS: Api<Place & { readonly before: number; readonly timeoutMs: number }, Coded> = {
  key: 21,
  version: 1,
  name: 'DeleteRecords',
  encode: ({ timeoutMs, ...place }) =>
    new Body()
      .byTopic([place], (body, { partition, before }) => body.int32(partition).int64(before))
      .int32(timeoutMs)
      .end(),
  decode: (payload) => {
    const [found] = new Answer(payload).throttle().byTopic((answer) => {
      answer.int32()
      answer.int64()
      return { code: answer.int16() }
    })
    return found!
  },
}

// ---- The cluster and its topics

export interface MetadataAnswer {
  readonly brokers: readonly { readonly node: number; readonly host: string; readonly port: number }[]
  readonly controller: number
  readonly topics: readonly (Coded & {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly leader: number; readonly replicas: number }[]
  })[]
}

export const METADATA: Api<readonly string[], MetadataAnswer> = {
  key: 3,
  version: 4,
  name: 'Metadata',
  encode: (topics) =>
    new Body()
      .list(topics, (body, topic) => body.string(topic))
      // Nothing is created by asking for it.
      .int8(0)
      .end(),
  decode: (payload) => {
    const answer = new Answer(payload).throttle()
    const brokers = answer.list(() => {
      const broker = { node: answer.int32(), host: answer.string(), port: answer.int32() }
      answer.nullable()
      return broker
    })
    answer.nullable()
    const controller = answer.int32()
    const topics = answer.list(() => {
      const code = answer.int16()
      const topic = answer.string()
      answer.int8()
      const partitions = answer.list(() => {
        answer.int16()
        const partition = answer.int32()
        const leader = answer.int32()
        const replicas = answer.list(() => answer.int32()).length
        answer.list(() => answer.int32())
        return { partition, leader, replicas }
      })
      return { code, topic, partitions }
    })
    return { brokers, controller, topics }
  },
}

export interface CreateTopicsQuestion {
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: number
    readonly settings: Readonly<Record<string, string>>
  }[]
  readonly replicas: number
  readonly timeoutMs: number
}

export const CREATE_TOPICS: Api<
  CreateTopicsQuestion,
  readonly (Coded & { readonly topic: string; readonly message: string | undefined })[]
> = {
  key: 19,
  version: 2,
  name: 'CreateTopics',
  encode: ({ topics, replicas, timeoutMs }) =>
    new Body()
      .list(topics, (body, { topic, partitions, settings }) =>
        body
          .string(topic)
          .int32(partitions)
          .int16(replicas)
          // Where the replicas are is for the cluster to choose.
          .int32(0)
          .list(Object.entries(settings), (each, [name, value]) => each.string(name).string(value)),
      )
      .int32(timeoutMs)
      .int8(0)
      .end(),
  decode: (payload) => {
    const answer = new Answer(payload).throttle()
    return answer.list(() => ({ topic: answer.string(), code: answer.int16(), message: answer.nullable() }))
  },
}

const OF_TOPIC = 2

export const DESCRIBE_CONFIGS: Api<
  readonly string[],
  readonly (Coded & { readonly topic: string; readonly settings: Readonly<Record<string, string>> })[]
> = {
  key: 32,
  version: 1,
  name: 'DescribeConfigs',
  encode: (topics) =>
    new Body()
      // All of its settings: no list of names.
      .list(topics, (body, topic) => body.int8(OF_TOPIC).string(topic).int32(-1))
      .int8(0)
      .end(),
  decode: (payload) => {
    const answer = new Answer(payload).throttle()
    return answer.list(() => {
      const code = answer.int16()
      answer.nullable()
      answer.int8()
      const topic = answer.string()
      const settings = answer.list(() => {
        const setting = [answer.string(), answer.nullable() ?? ''] as const
        answer.int8()
        answer.int8()
        answer.int8()
        answer.list(() => [answer.string(), answer.nullable(), answer.int8()])
        return setting
      })
      return { code, topic, settings: Object.fromEntries(settings) }
    })
  },
}

// ---- Transactions

/** Who writes in a transaction. */
export interface Identity {
  readonly producerId: bigint
  readonly producerEpoch: number
}

const OF_TRANSACTION = 1

/** Which broker coordinates a transactional id. */
export const FIND_COORDINATOR: Api<string, Coded & { readonly node: number }> = {
  key: 10,
  version: 1,
  name: 'FindCoordinator',
  encode: (transactionalId) => new Body().string(transactionalId).int8(OF_TRANSACTION).end(),
  decode: (payload) => {
    const answer = new Answer(payload).throttle()
    const code = answer.int16()
    answer.nullable()
    return { code, node: answer.int32() }
  },
}

export const INIT_PRODUCER_ID: Api<{ readonly transactionalId: string; readonly timeoutMs: number }, Coded & Identity> =
  {
    key: 22,
    version: 1,
    name: 'InitProducerId',
    encode: ({ transactionalId, timeoutMs }) => new Body().string(transactionalId).int32(timeoutMs).end(),
    decode: (payload) => {
      const answer = new Answer(payload).throttle()
      return { code: answer.int16(), producerId: answer.bigint(), producerEpoch: answer.int16() }
    },
  }

export interface TransactionQuestion extends Identity {
  readonly transactionalId: string
}

export const ADD_PARTITIONS: Api<TransactionQuestion & { readonly places: readonly Place[] }, readonly Coded[]> = {
  key: 24,
  version: 1,
  name: 'AddPartitionsToTxn',
  encode: ({ places, ...transaction }) =>
    new Body()
      .transaction(transaction)
      .byTopic(places, (body, { partition }) => body.int32(partition))
      .end(),
  decode: (payload) =>
    new Answer(payload).throttle().byTopic((answer) => {
      answer.int32()
      return { code: answer.int16() }
    }),
}

/** The end of a transaction that is to count. */
export const COMMIT: Api<TransactionQuestion, Coded> = {
  key: 26,
  version: 1,
  name: 'EndTxn',
  encode: (transaction) => new Body().transaction(transaction).int8(1).end(),
  decode: (payload) => ({ code: new Answer(payload).throttle().int16() }),
}

// ---- How they are written and read

/** Collects a request: numbers in small pieces, records as they are. */
class Body {
  readonly #pieces: Buffer[] = []
  #piece = Buffer.allocUnsafe(1024)
  #at = 0

  int8(value: number): this {
    this.#at = this.#room(1).writeInt8(value, this.#at)
    return this
  }

  int16(value: number): this {
    this.#at = this.#room(2).writeInt16BE(value, this.#at)
    return this
  }

  int32(value: number): this {
    this.#at = this.#room(4).writeInt32BE(value, this.#at)
    return this
  }

  int64(value: number | bigint): this {
    this.#at = this.#room(8).writeBigInt64BE(BigInt(value), this.#at)
    return this
  }

  string(text: string | null): this {
    if (text === null) return this.int16(-1)
    this.int16(Buffer.byteLength(text))
    return this.bytes(Buffer.from(text))
  }

  bytes(bytes: Buffer): this {
    if (bytes.length > 512) {
      this.#pieces.push(this.#piece.subarray(0, this.#at), bytes)
      this.#piece = Buffer.allocUnsafe(1024)
      this.#at = 0
    } else {
      this.#room(bytes.length).set(bytes, this.#at)
      this.#at += bytes.length
    }
    return this
  }

  list<T>(items: readonly T[], write: (body: this, item: T) => unknown): this {
    this.int32(items.length)
    for (const item of items) write(this, item)
    return this
  }

  /** Items of partitions, those of a topic together. */
  byTopic<T extends Place>(items: readonly T[], write: (body: this, item: T) => unknown): this {
    const topics = new Map<string, T[]>()
    for (const item of items) {
      const known = topics.get(item.topic)
      if (known === undefined) topics.set(item.topic, [item])
      else known.push(item)
    }
    return this.list([...topics], (_, [topic, members]) => this.string(topic).list(members, write))
  }

  transaction({ transactionalId, producerId, producerEpoch }: TransactionQuestion): this {
    return this.string(transactionalId).int64(producerId).int16(producerEpoch)
  }

  end(): Buffer {
    return Buffer.concat([...this.#pieces, this.#piece.subarray(0, this.#at)])
  }

  #room(bytes: number): Buffer {
    if (this.#piece.length - this.#at < bytes) {
      this.#pieces.push(this.#piece.subarray(0, this.#at))
      this.#piece = Buffer.allocUnsafe(1024)
      this.#at = 0
    }
    return this.#piece
  }
}

class Answer {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  /** How long the broker has made us wait: it comes first in most answers. */
  throttle(): this {
    this.int32()
    return this
  }

  int8(): number {
    return this.#buffer.readInt8((this.#at += 1) - 1)
  }

  int16(): number {
    return this.#buffer.readInt16BE((this.#at += 2) - 2)
  }

  int32(): number {
    return this.#buffer.readInt32BE((this.#at += 4) - 4)
  }

  bigint(): bigint {
    return this.#buffer.readBigInt64BE((this.#at += 8) - 8)
  }

  int64(): number {
    return Number(this.bigint())
  }

  nullable(): string | undefined {
    const length = this.int16()
    return length < 0 ? undefined : this.#buffer.toString('utf8', this.#at, (this.#at += length))
  }

  string(): string {
    return this.nullable() ?? ''
  }

  rest(length: number): Buffer {
    return this.#buffer.subarray(this.#at, (this.#at += Math.max(0, length)))
  }

  list<T>(item: () => T): T[] {
    const count = this.int32()
    return Array.from({ length: Math.max(0, count) }, item)
  }

  byTopic<T>(item: (answer: this, topic: string) => T): T[] {
    return this.list(() => {
      const topic = this.string()
      return this.list(() => item(this, topic))
    }).flat()
  }
}
