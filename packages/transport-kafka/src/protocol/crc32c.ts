/** Bytes that are taken at a time. */
const WAYS = 16

/** Sixteen tables of the Castagnoli polynomial, one behind the other: the one at `way` is for a byte that has `way` bytes behind it. */
const TABLES = new Int32Array(WAYS * 256)
for (let i = 0; i < 256; i++) {
  let value = i
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0)
  TABLES[i] = value
}
for (let i = 256; i < TABLES.length; i++) {
  const before = TABLES[i - 256]!
  TABLES[i] = (before >>> 8) ^ TABLES[before & 0xff]!
}

/** The checksum of a record batch. */
export function crc32c(bytes: Uint8Array, from: number, to: number = bytes.length): number {
  const t = TABLES
  const words = new DataView(bytes.buffer, bytes.byteOffset, to)
  let crc = -1
  let at = from
  for (; at + WAYS <= to; at += WAYS) {
    const a = crc ^ words.getInt32(at, true)
    const b = words.getInt32(at + 4, true)
    const c = words.getInt32(at + 8, true)
    const d = words.getInt32(at + 12, true)
    crc =
      t[0xf00 | (a & 0xff)]! ^
      t[0xe00 | ((a >>> 8) & 0xff)]! ^
      t[0xd00 | ((a >>> 16) & 0xff)]! ^
      t[0xc00 | (a >>> 24)]! ^
      t[0xb00 | (b & 0xff)]! ^
      t[0xa00 | ((b >>> 8) & 0xff)]! ^
      t[0x900 | ((b >>> 16) & 0xff)]! ^
      t[0x800 | (b >>> 24)]! ^
      t[0x700 | (c & 0xff)]! ^
      t[0x600 | ((c >>> 8) & 0xff)]! ^
      t[0x500 | ((c >>> 16) & 0xff)]! ^
      t[0x400 | (c >>> 24)]! ^
      t[0x300 | (d & 0xff)]! ^
      t[0x200 | ((d >>> 8) & 0xff)]! ^
      t[0x100 | ((d >>> 16) & 0xff)]! ^
      t[d >>> 24]!
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!
  return ~crc >>> 0
}
