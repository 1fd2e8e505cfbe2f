// How messages are put into records. A record holds as many as were sent together, so that a thousand small ones cost the client as much as one.
//
//   1  format        then, for each:  4  length of the whole   1  priority   2  length of the queue's name   2  length of the id   queue   id   body
import type { Bytes } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'

export interface Framed {
  readonly queue: string
  readonly priority: number
  readonly id: string
  readonly body: Bytes
}

const FORMAT = 1
const HEAD_BYTES = 9

export function frameBytes({ queue, id, body }: Framed): number {
  return HEAD_BYTES + Buffer.byteLength(queue) + Buffer.byteLength(id) + body.byteLength
}

/** Bodies are copied. */
export function encodeFrames(messages: readonly Framed[], head: Buffer = Buffer.of(FORMAT)): Buffer {
  const buffer = Buffer.allocUnsafe(messages.reduce((sum, message) => sum + frameBytes(message), head.length))
  let at = head.copy(buffer)
  for (const message of messages) {
    const { queue, priority, id, body } = message
    const queueBytes = Buffer.byteLength(queue)
    const idBytes = Buffer.byteLength(id)
    buffer.writeUInt32BE(frameBytes(message), at)
    buffer[at + 4] = priority
    buffer.writeUInt16BE(queueBytes, at + 5)
    buffer.writeUInt16BE(idBytes, at + 7)
    at += HEAD_BYTES
    at += buffer.write(queue, at)
    at += buffer.write(id, at)
    buffer.set(body, at)
    at += body.byteLength
  }
  return buffer
}

/** Bodies are parts of the buffer. */
export function decodeFrames(record: Buffer, from = headEnd(record)): Framed[] {
  const messages: Framed[] = []
  for (let at = from; at < record.length;) {
    const end = at + HEAD_BYTES <= record.length ? at + record.readUInt32BE(at) : Infinity
    if (end < at + HEAD_BYTES || end > record.length)
      throw new TaskError('TASKS_STORE_FOREIGN', `a record holds no message at ${at} of its ${record.length} bytes`)
    messages.push(decodeFrame(record, at))
    at = end
  }
  return messages
}

/** @param format of records of this kind */
export function headEnd(record: Buffer, format = FORMAT): number {
  if (record[0] !== format)
    throw new TaskError('TASKS_STORE_NEWER', `a record has format ${record[0]}; upgrade @tasks/transport-kafka`)
  return 1
}

function decodeFrame(record: Buffer, at: number): Framed {
  const queueAt = at + HEAD_BYTES
  const idAt = queueAt + record.readUInt16BE(at + 5)
  const bodyAt = idAt + record.readUInt16BE(at + 7)
  return {
    priority: record[at + 4]!,
    queue: record.toString('utf8', queueAt, idAt),
    id: record.toString('utf8', idAt, bodyAt),
    body: record.subarray(bodyAt, at + record.readUInt32BE(at)),
  }
}

/** Splits what is sent together into as many records as it must be. */
export function inRecords<T>(
  items: readonly T[],
  bytesOf: (item: T) => number,
  most: number,
  mostItems: number,
): T[][] {
  const records: T[][] = []
  let bytes = 0
  for (const item of items) {
    const size = bytesOf(item)
    const last = records.at(-1)
    if (last === undefined || bytes + size > most || last.length >= mostItems) {
      records.push([item])
      bytes = size
    } else {
      last.push(item)
      bytes += size
    }
  }
  return records
}
