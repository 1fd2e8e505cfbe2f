import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { NewRecord } from '../src/driver'
import { crc32c } from '../src/protocol/crc32c'
import { decodeBatches, encodeBatch } from '../src/protocol/record-batch'

const bytes = fc.option(
  fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
  { nil: null },
)
const records: fc.Arbitrary<NewRecord[]> = fc.array(fc.record({ key: bytes, value: bytes }), {
  minLength: 1,
  maxLength: 200,
})

/** As a broker stores it: with its place in the log. */
function at(offset: number, batch: Buffer): Buffer {
  const stored = Buffer.from(batch)
  stored.writeBigInt64BE(BigInt(offset), 0)
  return stored
}

test('a checksum is that of Castagnoli', () => {
  expect(crc32c(Buffer.from('123456789'), 0)).toBe(0xe3069283)
  // RFC 3720, B.4.
  const upwards = Buffer.from(Array.from({ length: 32 }, (_, i) => i))
  expect(crc32c(Buffer.alloc(32), 0)).toBe(0x8a9136aa)
  expect(crc32c(Buffer.alloc(32, 0xff), 0)).toBe(0x62a8ab43)
  expect(crc32c(upwards, 0)).toBe(0x46dd794e)
  expect(crc32c(Buffer.from(upwards).reverse(), 0)).toBe(0x113fdb5c)
  const inside = Buffer.concat([Buffer.alloc(7), upwards, Buffer.alloc(3)]).subarray(2)
  expect(crc32c(inside, 5, 37)).toBe(0x46dd794e)
})

test('records are read as they were written, from any offset on, and a batch that is cut off is left for later', () => {
  fc.assert(
    fc.property(records, records, fc.nat(), (first, second, nat) => {
      const log = Buffer.concat([at(10, encodeBatch(first, 5)), at(10 + first.length, encodeBatch(second, 7))])
      const all = [...first, ...second]
      const skip = nat % all.length
      const read = decodeBatches(log, 10 + skip, [])
      expect(read.records.map(({ key, value }) => ({ key, value }))).toEqual(all.slice(skip))
      expect(read.records.map(({ offset }) => offset)).toEqual(all.slice(skip).map((_, i) => 10 + skip + i))
      expect(read.next).toBe(10 + all.length)
      expect(decodeBatches(log.subarray(0, -1), 10, []).next).toBe(10 + first.length)
    }),
  )
})

test('a damaged batch is not read', () => {
  const log = at(0, encodeBatch([{ key: null, value: Buffer.from('value') }], 1))
  log[log.length - 3]! ^= 1
  expect(() => decodeBatches(log, 0, [])).toThrow(/damaged: its checksum/)
  log.writeInt32BE(-20, 8)
  expect(() => decodeBatches(log, 0, [])).toThrow(/damaged: it says that it has -8 bytes/)
})

/** What a broker writes at the end of a transaction. */
function marker(offset: number, producer: bigint, type: 'abort' | 'commit'): Buffer {
  const key = Buffer.from([0, 0, 0, type === 'abort' ? 0 : 1])
  const batch = encodeBatch([{ key, value: Buffer.alloc(6) }], 1, { id: producer, epoch: 0, sequence: -1 })
  batch.writeInt16BE(0x30, 21)
  batch.writeUInt32BE(crc32c(batch, 21), 17)
  return at(offset, batch)
}

test('what was aborted is not read, even with a key that looks like a marker; what others wrote meanwhile is', () => {
  const of = (offset: number, id: bigint, text: string, key: Buffer | null = null): Buffer =>
    at(offset, encodeBatch([{ key, value: Buffer.from(text) }], 1, { id, epoch: 0, sequence: 0 }))
  const log = Buffer.concat([
    of(0, 1n, 'aborted', Buffer.from([0, 0, 0, 0])),
    of(1, 1n, 'aborted too'),
    of(2, 2n, 'committed'),
    at(3, encodeBatch([{ key: null, value: Buffer.from('plain') }], 1)),
    marker(4, 1n, 'abort'),
    of(5, 1n, 'of the next transaction'),
    marker(6, 2n, 'commit'),
    marker(7, 1n, 'commit'),
  ])
  const { records: read, next } = decodeBatches(log, 0, [{ producerId: 1n, firstOffset: 0 }])
  expect(read.map(({ value }) => String(value))).toEqual(['committed', 'plain', 'of the next transaction'])
  expect(next).toBe(8)
})
