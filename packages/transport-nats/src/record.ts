// What a partition's journal consists of. Every record says the whole state of the partition but its rows: the last one is enough to go on from.
//
//   1  format    1  kind    4  CRC-32 of what follows    4  length of the state    state, JSON    content
//
// The content of a commit: rows (a count; for each its key and value, or that it is gone), then sends (a count; for each id and target, and its body).
import type { Bytes, RowKey, Send, Target } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import { crc32 } from 'node:zlib'

const FORMAT = 1
/** With the checksum of the rest. */
export const HEAD_BYTES = 10
/** In place of a value's length. */
const GONE = 0xffff_ffff

export interface State {
  readonly claim: string
  readonly epoch: number
  /** Who has claimed it. */
  readonly host: string
  /** It was given back. */
  readonly released?: true
  readonly seq: number
  readonly time: number
  /** The position of the last consumed inbox message. */
  readonly through: string
  /** The sends of commits up to this one have been made. */
  readonly relayed: number
  /** The sequence of the first message that is needed to restore what this record ends. */
  readonly floor: number
}

const KINDS = ['claim', 'commit', 'seal', 'release'] as const
export type Kind = (typeof KINDS)[number]

/** A seal makes the parts that it names, in other messages, effective: together they are the record of a commit. */
export interface Seal extends State {
  readonly parts: readonly number[]
}

export interface DecodedRecord {
  readonly kind: Kind
  readonly state: State | Seal
  readonly content: Buffer
}

export type Row = readonly [key: RowKey, value: Bytes | null]

export function encodeRecord(kind: Kind, state: State | Seal, content: readonly Buffer[] = []): Buffer {
  const text = Buffer.from(JSON.stringify(state))
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  head[0] = FORMAT
  head[1] = KINDS.indexOf(kind)
  head.writeUInt32BE(text.length, 6)
  const record = Buffer.concat([head, text, ...content])
  record.writeUInt32BE(crc32(record.subarray(6)), 2)
  return record
}

/** @throws TaskError TASKS_STORE_CORRUPT, TASKS_STORE_NEWER */
export function decodeRecord(data: Bytes, where: string): DecodedRecord {
  const record = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  if (record.length < HEAD_BYTES) throw corrupt(where)
  if (record[0]! > FORMAT)
    throw new TaskError('TASKS_STORE_NEWER', `${where} has format ${record[0]}; upgrade @tasks/transport-nats`)
  const kind = KINDS[record[1]!]
  if (kind === undefined || crc32(record.subarray(6)) !== record.readUInt32BE(2)) throw corrupt(where)
  const contentAt = HEAD_BYTES + record.readUInt32BE(6)
  return {
    kind,
    state: JSON.parse(record.toString('utf8', HEAD_BYTES, contentAt)) as State | Seal,
    content: record.subarray(contentAt),
  }
}

function corrupt(where: string): TaskError {
  return new TaskError('TASKS_STORE_CORRUPT', `${where} is damaged: its checksum is wrong`)
}

/** Rows and sends as the content of a commit. */
export function encodeContent(rows: readonly Row[], sends: readonly Send[]): Buffer {
  const heads = sends.map(({ id, target }) => Buffer.from(JSON.stringify([id, target])))
  let size = 8
  for (const [key, value] of rows) size += 6 + Buffer.byteLength(key) + (value?.byteLength ?? 0)
  sends.forEach(({ body }, i) => (size += 8 + heads[i]!.length + body.byteLength))

  const content = Buffer.allocUnsafe(size)
  let at = content.writeUInt32BE(rows.length, 0)
  for (const [key, value] of rows) {
    const keyBytes = content.write(key, at + 6)
    content.writeUInt16BE(keyBytes, at)
    content.writeUInt32BE(value === null ? GONE : value.byteLength, at + 2)
    at += 6 + keyBytes
    if (value === null) continue
    content.set(value, at)
    at += value.byteLength
  }
  at = content.writeUInt32BE(sends.length, at)
  sends.forEach(({ body }, i) => {
    const head = heads[i]!
    content.writeUInt32BE(head.length, at)
    content.writeUInt32BE(body.byteLength, at + 4)
    content.set(head, at + 8)
    content.set(body, at + 8 + head.length)
    at += 8 + head.length + body.byteLength
  })
  return content
}

/** Values are parts of the content. Answers the place behind the rows. */
export function decodeRows(content: Buffer, onRow: (key: RowKey, value: Buffer | null) => void): number {
  const count = content.readUInt32BE(0)
  let at = 4
  for (let i = 0; i < count; i++) {
    const valueAt = at + 6 + content.readUInt16BE(at)
    const bytes = content.readUInt32BE(at + 2)
    const end = bytes === GONE ? valueAt : valueAt + bytes
    onRow(content.toString('utf8', at + 6, valueAt), bytes === GONE ? null : content.subarray(valueAt, end))
    at = end
  }
  return at
}

/** @param at the place behind the rows */
export function decodeSends(content: Buffer, at: number): Send[] {
  const count = content.readUInt32BE(at)
  const sends: Send[] = []
  at += 4
  for (let i = 0; i < count; i++) {
    const bodyAt = at + 8 + content.readUInt32BE(at)
    const end = bodyAt + content.readUInt32BE(at + 4)
    const [id, target] = JSON.parse(content.toString('utf8', at + 8, bodyAt)) as [string, Target]
    sends.push({ id, target, body: content.subarray(bodyAt, end) })
    at = end
  }
  return sends
}
