/** Eight tables of the Castagnoli polynomial: eight bytes are taken at a time. */
const TABLES = Array.from({ length: 8 }, () => new Uint32Array(256))
for (let i = 0; i < 256; i++) {
  let value = i
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0)
  TABLES[0]![i] = value >>> 0
}
for (let i = 0; i < 256; i++)
  for (let t = 1; t < 8; t++) {
    const before = TABLES[t - 1]![i]!
    TABLES[t]![i] = ((before >>> 8) ^ TABLES[0]![before & 0xff]!) >>> 0
  }
type Table = Uint32Array
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as unknown as readonly [
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
  Table,
]

/** The checksum of a record batch. */
export function crc32c(bytes: Uint8Array, from: number, to: number = bytes.length): number {
  let crc = 0xffffffff
  let at = from
  for (; at + 8 <= to; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      T7[low & 0xff]! ^
      T6[(low >>> 8) & 0xff]! ^
      T5[(low >>> 16) & 0xff]! ^
      T4[low >>> 24]! ^
      T3[bytes[at + 4]!]! ^
      T2[bytes[at + 5]!]! ^
      T1[bytes[at + 6]!]! ^
      T0[bytes[at + 7]!]!
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 0xff]!
  return (crc ^ 0xffffffff) >>> 0
}
