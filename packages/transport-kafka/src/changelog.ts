// What the changelog of a partition says: the rows, and where the partition stands. Compacted, it has the last record of each key.
import type { Bytes, RowKey } from '@tasks/core'
import type { KafkaDriver, NewRecord, Place } from './driver'
import type { InboxPlace } from './inbox'
import { Rows } from './rows'

/** Written with every commit. */
export interface Standing {
  readonly seq: number
  readonly time: number
  readonly epoch: number
  /** The last inbox message that was consumed. */
  readonly through?: InboxPlace
}

const POSITION = Buffer.from('position')
/** So a key of ours is none of theirs, and never begins with four zero bytes. */
const ROW = 'r'

export function positionRecord(standing: Standing): NewRecord {
  return { key: POSITION, value: Buffer.from(JSON.stringify(standing)) }
}

export function rowRecord(key: RowKey, value: Bytes | null): NewRecord {
  // A copy, kept as the row.
  return { key: Buffer.from(ROW + key), value: value === null ? null : Buffer.from(value) }
}

export interface Restored {
  readonly rows: Rows
  readonly standing: Standing
}

/** Reads to the end by offsets: the last record may be a marker that nobody sees, and records may have been compacted away. */
export async function restore(driver: KafkaDriver, place: Place, budget: number): Promise<Restored> {
  const rows = new Rows(driver, place, budget)
  let standing: Standing = { seq: 0, time: 0, epoch: 0 }
  const { start, end } = await driver.range(place)
  for (let next = start; next < end;) {
    const chunk = await driver.read(place, next)
    for (const { key, value, offset } of chunk.records) {
      if (key === null) continue
      if (key.equals(POSITION)) standing = JSON.parse(String(value)) as Standing
      // A copy: it is a part of an answer of some MiB.
      else rows.set(key.toString('utf8', ROW.length), value === null ? null : Buffer.from(value), offset)
    }
    if (chunk.next === next && chunk.range.end <= next) break
    next = chunk.next
  }
  return { rows, standing }
}
