// The event logs: appending and dropping inside a transaction, and one page of a partition. A position is the event's `seq`.
import type { Bytes, EventPage, EventRetention, Position } from '@tasks/core'
import { bulkPut } from './bulk'
import type { Value } from './driver'
import { BYTES } from './driver'
import type { Row, Write } from './group-commit'
import { fitting } from './limits'

const put = bulkPut('event', ['?', '?', '?', '?', BYTES])
const COLUMNS = 5
/** The place of `at` among them. */
const AT = 2

/** What a transaction adds to the log of one partition. The values are those of the table, row after row. */
export interface Additions {
  readonly values: Value[]
  bytes: number
}

export function appendEvents(
  write: Write,
  additions: ReadonlyMap<number, Additions>,
  now: number,
  retention: EventRetention,
): void {
  for (const [slot, { values, bytes }] of additions) {
    const last = write.get(LAST, slot)?.['at'] as number | undefined
    // Positions are found by time: it must not go back with the clock, nor with that of another process.
    if (last !== undefined && last > now) for (let i = AT; i < values.length; i += COLUMNS) values[i] = last
    put(write, values)
    const log = write.get(GROWN, slot, bytes)!
    trim(write, slot, log['bytes'] as number, log['oldest'] as number, now, retention)
  }
}

/** Drops the oldest while they are too old, or enough follow them. What has just been added always stays. */
function trim(
  write: Write,
  slot: number,
  stored: number,
  oldest: number,
  now: number,
  { maxAgeMs, maxBytes }: EventRetention,
): void {
  const isTooOld = (at: number): boolean => at < now - maxAgeMs
  if (stored < maxBytes && !isTooOld(oldest)) return
  let bytes = stored
  let dropped: number | undefined
  for (;;) {
    const page = write.all(OLDEST, slot, dropped ?? -1, TRIM_PAGE)
    const staying = page.findIndex((row) => {
      const rest = bytes - (row['bytes'] as number)
      if (rest < maxBytes && !isTooOld(row['at'] as number)) return true
      bytes = rest
      dropped = row['seq'] as number
      return false
    })
    if (staying >= 0 || page.length < TRIM_PAGE) break
  }
  if (dropped === undefined) return
  write.run('DELETE FROM event WHERE slot = ? AND seq <= ?', slot, dropped)
  write.run('UPDATE event_log SET dropped = ?, bytes = ? WHERE slot = ?', dropped, bytes, slot)
}

const TRIM_PAGE = 64
const LAST = 'SELECT at FROM event WHERE slot = ? ORDER BY seq DESC LIMIT 1'
const GROWN = `
INSERT INTO event_log VALUES (?1, 0, ?2) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes
RETURNING bytes, (SELECT at FROM event WHERE slot = ?1 ORDER BY seq LIMIT 1) AS oldest`
const OLDEST = 'SELECT seq, at, length(body) AS bytes FROM event WHERE slot = ? AND seq > ? ORDER BY seq LIMIT ?'

/** Whatever reads: the group, or a transaction of it. */
interface Reader {
  get(sql: string, ...values: Value[]): Row | undefined
  all(sql: string, ...values: Value[]): Row[]
}

/** What follows `after`, if there is anything. */
export function readPage(
  reader: Reader,
  partition: number,
  slot: number,
  after: Position | undefined,
  max: number,
): EventPage | undefined {
  const from = Number(after ?? 0)
  const bytes = (count: number): number => reader.get(PAGE_BYTES, slot, from, count)!['bytes'] as number
  const found = reader.all(PAGE, slot, from, max <= 1 ? max : fitting(max, bytes))
  if (found.length === 0) return undefined
  const events = found.map(({ seq, id, body }) => ({
    position: String(seq),
    id: id as string,
    body: body as Bytes,
  }))
  const gap = after !== undefined && from < (found[0]!['dropped'] as number)
  return { partition, gap, events, position: events.at(-1)!.position }
}

const PAGE = `
SELECT seq, id, body, (SELECT dropped FROM event_log WHERE slot = ?1) AS dropped FROM event WHERE slot = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3`
const PAGE_BYTES = `
SELECT total(length(body)) AS bytes FROM (SELECT body FROM event WHERE slot = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3)`

export function endOf(reader: Reader, slot: number): number {
  return (reader.get('SELECT max(seq) AS seq FROM event WHERE slot = ?', slot)!['seq'] as number | null) ?? 0
}

/** The place before the first event that was stored at `since` or later. `at` never goes down, so it is found by halves. */
export function placeBefore(reader: Reader, slot: number, since: number): number {
  let low = 0
  let high = endOf(reader, slot)
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    const next = reader.get(NEXT, slot, middle)!
    if ((next['at'] as number) < since) low = next['seq'] as number
    else high = middle
  }
  return low
}

const NEXT = 'SELECT seq, at FROM event WHERE slot = ? AND seq > ? ORDER BY seq LIMIT 1'
