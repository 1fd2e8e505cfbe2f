// The two requests that carry records, written and read by us: kafkajs decodes every record into an object of nine fields, and its answers do not tell an empty batch from no batch.
import type { Place } from '../driver'
import type { Aborted } from './record-batch'

export const PRODUCE = { key: 0, version: 3, name: 'Produce' } as const
export const FETCH = { key: 1, version: 5, name: 'Fetch' } as const

export interface EncodedBatch extends Place {
  readonly bytes: Buffer
}

export interface ProduceAnswer extends Place {
  readonly code: number
  readonly offset: number
}

/** At most one batch for each partition. */
export function encodeProduce(
  batches: readonly EncodedBatch[],
  { transactionalId, timeoutMs }: { readonly transactionalId: string | null; readonly timeoutMs: number },
): Buffer {
  const body = new Body().string(transactionalId).int16(-1).int32(timeoutMs)
  const topics = byTopic(batches)
  body.int32(topics.size)
  for (const [topic, members] of topics) {
    body.string(topic).int32(members.length)
    for (const { partition, bytes } of members) body.int32(partition).int32(bytes.length).bytes(bytes)
  }
  return body.end()
}

export function decodeProduce(payload: Buffer): readonly ProduceAnswer[] {
  const answer = new Answer(payload)
  return answer
    .list(() => {
      const topic = answer.string()
      return answer.list(() => {
        const found = { topic, partition: answer.int32(), code: answer.int16(), offset: answer.int64() }
        answer.int64()
        return found
      })
    })
    .flat()
}

export interface FetchPlace extends Place {
  readonly from: number
}

export interface FetchAnswer extends Place {
  readonly code: number
  /** Behind the last record that can be read. */
  readonly end: number
  readonly start: number
  readonly aborted: readonly Aborted[]
  readonly batches: Buffer
}

const ANY_REPLICA = -1
const READ_COMMITTED = 1

export function encodeFetch(
  places: readonly FetchPlace[],
  options: { readonly waitMs: number; readonly maxBytes: number; readonly maxPartitionBytes: number },
): Buffer {
  const body = new Body().int32(ANY_REPLICA).int32(options.waitMs).int32(1).int32(options.maxBytes).int8(READ_COMMITTED)
  const topics = byTopic(places)
  body.int32(topics.size)
  for (const [topic, members] of topics) {
    body.string(topic).int32(members.length)
    for (const { partition, from } of members)
      body.int32(partition).int64(from).int64(-1).int32(options.maxPartitionBytes)
  }
  return body.end()
}

export function decodeFetch(payload: Buffer): readonly FetchAnswer[] {
  const answer = new Answer(payload)
  answer.int32()
  return answer
    .list(() => {
      const topic = answer.string()
      return answer.list(() => {
        const partition = answer.int32()
        const code = answer.int16()
        answer.int64()
        const end = answer.int64()
        const start = answer.int64()
        const aborted = answer.list(() => ({ producerId: answer.bigint(), firstOffset: answer.int64() }))
        return { topic, partition, code, end, start, aborted, batches: answer.rest(answer.int32()) }
      })
    })
    .flat()
}

function byTopic<T extends Place>(places: readonly T[]): Map<string, T[]> {
  const topics = new Map<string, T[]>()
  for (const place of places) {
    const known = topics.get(place.topic)
    if (known === undefined) topics.set(place.topic, [place])
    else known.push(place)
  }
  return topics
}

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

  int64(value: number): this {
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

  string(): string {
    const length = this.int16()
    return this.#buffer.toString('utf8', this.#at, (this.#at += length))
  }

  rest(length: number): Buffer {
    return this.#buffer.subarray(this.#at, (this.#at += Math.max(0, length)))
  }

  list<T>(item: () => T): T[] {
    const count = this.int32()
    return Array.from({ length: Math.max(0, count) }, item)
  }
}
