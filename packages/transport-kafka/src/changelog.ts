// What the changelog of a partition says: the rows, and where the partition stands. Compacted, it has the last record of each key.
import type { Bytes, RowKey } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import type { KafkaDriver, NewRecord, Place } from './driver'
import type { InboxPlace } from './inbox'
import { readKnown } from './read-known'
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

export interface RestoreOptions {
  readonly driver: KafkaDriver
  readonly clock: Clock
  readonly place: Place
  /** Bytes of row values that are kept in memory. */
  readonly budget: number
  /** Nobody waits for it any more. */
  readonly signal?: AbortSignal
  /** It has come further. */
  readonly onProgress?: () => void
}

/**
 * Reads to the end by offsets: the last record may be a marker that nobody sees, and records may have been compacted away.
 * What is answered is never older than the end that was known when it began.
 * @throws TaskError TASKS_UNAVAILABLE if the leader does not show all of it
 */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const { driver, clock, place, budget, onProgress } = options
  const rows = new Rows({ driver, clock, changelog: place, budget })
  let standing: Standing = { seq: 0, time: 0, epoch: 0 }
  const { start, end } = await driver.range(place)
  for (let next = start; next < end;) {
    const chunk = await readKnown(options, place, next, end)
    for (const { key, value, offset } of chunk.records) {
      if (key === null) continue
      if (key.equals(POSITION)) standing = JSON.parse(String(value)) as Standing
      // A copy: it is a part of an answer of some MiB.
      else rows.set(key.toString('utf8', ROW.length), value === null ? null : Buffer.from(value), offset)
    }
    if (chunk.next === next) break
    next = chunk.next
    onProgress?.()
  }
  return { rows, standing }
}
