// The rows of a partition, ordered by the bytes of their keys, as SQLite compares text.
import type { Bytes, Commit, RowKey } from '@tasks/core'
import { bulkPut } from './bulk'
import type { Value } from './driver'
import { BYTES } from './driver'
import type { Group, Write } from './group-commit'

const put = bulkPut('row', ['?', '?', BYTES], 'ON CONFLICT DO UPDATE SET value = excluded.value')

export function writeRows(write: Write, slot: number, rows: Commit['rows']): void {
  const values: Value[] = []
  for (const [key, value] of rows) {
    if (value === null) write.run('DELETE FROM row WHERE slot = ? AND key = ?', slot, key)
    else values.push(slot, key, value)
  }
  put(write, values)
}

// A few keys are quicker one by one, more by one query: the crossing is near four.
const FEW = 3

export function loadRows(group: Group, slot: number, keys: readonly RowKey[]): (Bytes | undefined)[] {
  if (keys.length <= FEW) {
    return keys.map(
      (key) => group.get('SELECT value FROM row WHERE slot = ? AND key = ?', slot, key)?.['value'] as Bytes | undefined,
    )
  }
  const found = group.all(
    'SELECT key, value FROM row WHERE slot = ? AND key IN (SELECT value FROM json_each(?))',
    slot,
    JSON.stringify(keys),
  )
  const byKey = new Map(found.map(({ key, value }) => [key as string, value as Bytes]))
  return keys.map((key) => byKey.get(key))
}

export function scanRows(
  group: Group,
  slot: number,
  prefix: string,
  after: RowKey | undefined,
  limit: number,
): (readonly [RowKey, Bytes])[] {
  const end = afterPrefix(prefix)
  const values: Value[] = [slot, prefix, after ?? '', limit, ...(end === undefined ? [] : [end])]
  return group
    .all(end === undefined ? SCAN_TO_THE_END : SCAN, ...values)
    .map(({ key, value }) => [key as string, value as Bytes] as const)
}

// `max` compares by bytes, as the order does; JavaScript's `<` compares UTF-16.
const SCAN_TO_THE_END =
  'SELECT key, value FROM row WHERE slot = ?1 AND key >= max(?2, ?3) AND key <> ?3 ORDER BY key LIMIT ?4'
const SCAN = SCAN_TO_THE_END.replace('ORDER', 'AND key < ?5 ORDER')

/** The least text above all that start with `prefix`, by code points; undefined if there is none. */
export function afterPrefix(prefix: string): string | undefined {
  const points = Array.from(prefix)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const point = last.codePointAt(0)!
    if (point === 0x10ffff) continue
    // Surrogates are no characters.
    return points.join('') + String.fromCodePoint(point === 0xd7ff ? 0xe000 : point + 1)
  }
  return undefined
}
