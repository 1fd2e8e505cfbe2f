// Record batches of Kafka (magic 2), uncompressed: how records are stored and sent. Written and read in one pass: a commit has thousands of records, and kafkajs makes an
// object with a growing buffer of each.
import type { LogRecord, NewRecord } from '../driver'
import { crc32c } from './crc32c'

/** Who writes, where that matters: in a transaction. */
export interface Producer {
  readonly id: bigint
  readonly epoch: number
  /** Of the first record, counted for each partition. */
  readonly sequence: number
}

const HEAD_BYTES = 61
const CRC_AT = 17
const CHECKED_FROM = 21
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
const LOG_APPEND_TIME = 0x08
const COMPRESSION = 0x07
const MAGIC = 2
/** In the key of a control record: what it is. */
const CONTROL_TYPE_AT = 2
const ABORT = 0

export function encodeBatch(records: readonly NewRecord[], now: number, producer?: Producer): Buffer {
  let total = HEAD_BYTES
  const sizes = records.map(({ key, value }, i) => {
    // Attributes, a time of no difference, no headers: a byte each.
    const size = 3 + varintSize(i) + bytesSize(key) + bytesSize(value)
    total += varintSize(size) + size
    return size
  })
  const buffer = Buffer.allocUnsafe(total)
  buffer.writeBigInt64BE(0n, 0)
  buffer.writeInt32BE(total - 12, 8)
  buffer.writeInt32BE(-1, 12)
  buffer[16] = MAGIC
  buffer.writeInt16BE(producer === undefined ? 0 : TRANSACTIONAL, 21)
  buffer.writeInt32BE(records.length - 1, 23)
  buffer.writeBigInt64BE(BigInt(now), 27)
  buffer.writeBigInt64BE(BigInt(now), 35)
  buffer.writeBigInt64BE(producer?.id ?? -1n, 43)
  buffer.writeInt16BE(producer?.epoch ?? -1, 51)
  buffer.writeInt32BE(producer?.sequence ?? -1, 53)
  buffer.writeInt32BE(records.length, 57)
  let at = HEAD_BYTES
  records.forEach(({ key, value }, i) => {
    at = writeVarint(buffer, at, sizes[i]!)
    buffer[at++] = 0
    buffer[at++] = 0
    at = writeVarint(buffer, at, i)
    at = writeBytes(buffer, at, key)
    at = writeBytes(buffer, at, value)
    buffer[at++] = 0
  })
  buffer.writeUInt32BE(crc32c(buffer, CHECKED_FROM), CRC_AT)
  return buffer
}

/** How many bytes a record takes in a batch, at most. */
export function recordBytes({ key, value }: NewRecord): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + 24
}

export interface Aborted {
  readonly producerId: bigint
  readonly firstOffset: number
}

export interface Decoded {
  readonly records: LogRecord[]
  /** Behind the last batch that is whole. */
  readonly next: number
}

/**
 * The records of joined batches from an offset on, without markers and without those of aborted transactions. The last batch may be cut off.
 * Bodies are parts of the buffer.
 * @throws Error if it is damaged, compressed, or of an old format
 */
export function decodeBatches(buffer: Buffer, from: number, aborted: readonly Aborted[]): Decoded {
  const records: LogRecord[] = []
  const starting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  const ignored = new Set<bigint>()
  let next = from
  for (let start = 0; buffer.length - start >= HEAD_BYTES;) {
    const length = 12 + buffer.readInt32BE(start + 8)
    if (buffer.length - start < length) break
    const base = Number(buffer.readBigInt64BE(start))
    if (length < HEAD_BYTES)
      throw new Error(`the record batch at ${base} is damaged: it says that it has ${length} bytes`)
    if (buffer[start + 16] !== MAGIC)
      throw new Error(`a record batch at ${base} has the old format ${buffer[start + 16]}`)
    if (crc32c(buffer, start + CHECKED_FROM, start + length) !== buffer.readUInt32BE(start + CRC_AT))
      throw new Error(`the record batch at ${base} is damaged: its checksum is wrong`)
    const attributes = buffer.readInt16BE(start + 21)
    const last = base + buffer.readInt32BE(start + 23)
    const producerId = buffer.readBigInt64BE(start + 43)
    while (starting.length > 0 && starting[0]!.firstOffset <= last) ignored.add(starting.shift()!.producerId)
    if ((attributes & CONTROL) !== 0) {
      if (controlType(buffer, start) === ABORT) ignored.delete(producerId)
    } else if ((attributes & TRANSACTIONAL) === 0 || !ignored.has(producerId)) {
      if ((attributes & COMPRESSION) !== 0)
        throw new Error(`the record batch at ${base} is compressed: set compression.type of its topic to "producer"`)
      const firstTime = Number(buffer.readBigInt64BE(start + 27))
      const appended = (attributes & LOG_APPEND_TIME) === 0 ? undefined : Number(buffer.readBigInt64BE(start + 35))
      readRecords(buffer, start, (offset, delta, key, value) => {
        if (base + offset >= from)
          records.push({ offset: base + offset, time: appended ?? firstTime + delta, key, value })
      })
    }
    next = Math.max(next, last + 1)
    start += length
  }
  return { records, next }
}

function readRecords(
  buffer: Buffer,
  start: number,
  onRecord: (offsetDelta: number, timeDelta: number, key: Buffer | null, value: Buffer | null) => void,
): void {
  const count = buffer.readInt32BE(start + 57)
  const reader = new VarintReader(buffer, start + HEAD_BYTES)
  for (let i = 0; i < count; i++) {
    const size = reader.varint()
    const end = reader.at + size
    reader.at++
    const timeDelta = reader.varint()
    const offsetDelta = reader.varint()
    const key = reader.bytes()
    const value = reader.bytes()
    reader.at = end
    onRecord(offsetDelta, timeDelta, key, value)
  }
}

function controlType(buffer: Buffer, start: number): number {
  let type = -1
  readRecords(buffer, start, (_, __, key) => (type = key === null ? -1 : key.readInt16BE(CONTROL_TYPE_AT)))
  return type
}

// ---- Numbers of varying length: zigzag, seven bits a byte

function varintSize(value: number): number {
  let size = 1
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) size++
  return size
}

function bytesSize(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  let rest = zigzag(value)
  while (rest >= 0x80) {
    buffer[at++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  buffer[at++] = rest
  return at
}

function writeBytes(buffer: Buffer, at: number, bytes: Buffer | null): number {
  if (bytes === null) return writeVarint(buffer, at, -1)
  const from = writeVarint(buffer, at, bytes.length)
  buffer.set(bytes, from)
  return from + bytes.length
}

class VarintReader {
  readonly #buffer: Buffer
  at: number

  constructor(buffer: Buffer, at: number) {
    this.#buffer = buffer
    this.at = at
  }

  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.#buffer[this.at++]!
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
  }

  bytes(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const from = this.at
    this.at += length
    return this.#buffer.subarray(from, this.at)
  }
}
