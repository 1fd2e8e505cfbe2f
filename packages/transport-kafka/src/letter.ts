// A dead letter as a record.
import type { Bytes, DeadLetterInfo } from '@tasks/core'
import { createHash } from 'node:crypto'
import type { NewRecord } from './driver'

export interface Letter {
  readonly info: DeadLetterInfo
  readonly body: Buffer
}

/** A letter that is made twice with one key is one letter. */
export function letterRecord(key: string, info: DeadLetterInfo, body: Bytes): NewRecord {
  const head = Buffer.from(JSON.stringify(info))
  const value = Buffer.allocUnsafe(4 + head.length + body.byteLength)
  value.writeUInt32BE(head.length, 0)
  value.set(head, 4)
  value.set(body, 4 + head.length)
  return { key: Buffer.from(key), value }
}

/** The key of a letter that was sent: the same each time. */
export function keyOfLetter(id: string, info: DeadLetterInfo, body: Bytes): string {
  const hash = createHash('sha256')
    .update(`${id}\n${JSON.stringify(info)}\n`)
    .update(body)
  return `sent/${hash.digest('base64url')}`
}

/** The key of the letter that a task of a queue's log becomes. */
export function keyOfTask(topic: string, partition: number, offset: number, index: number): string {
  return `task/${topic}/${partition}/${offset}.${index}`
}

export function decodeLetter(value: Buffer): Letter {
  const end = 4 + value.readUInt32BE(0)
  return {
    info: JSON.parse(value.toString('utf8', 4, end)) as DeadLetterInfo,
    body: Buffer.from(value.subarray(end)),
  }
}
