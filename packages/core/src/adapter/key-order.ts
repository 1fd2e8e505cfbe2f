// How rows are found and in which order.
import type { RowKey } from '../transport'

/** The entity of a row, or of the rows that a prefix of keys names: what is before the first slash. */
export function entityOf(key: RowKey): string {
  const slash = key.indexOf('/')
  return slash < 0 ? key : key.slice(0, slash)
}

/**
 * The order of the UTF-8 bytes: that of rows in every store. It differs from that of the UTF-16 units once surrogates meet
 * U+E000 and above.
 */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return utf8Rank(x) - utf8Rank(y)
  }
  return a.length - b.length
}

function utf8Rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
