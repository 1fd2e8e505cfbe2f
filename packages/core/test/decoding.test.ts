import { expect, test } from 'vitest'
import { jsonCodec } from '../src/json-codec'
import { decodeValue } from '../src/decoding'
import { Kind, setOf, type Value } from '../src/value'

const codec = jsonCodec()
const one = (bytes: Uint8Array): Value => ({ kind: Kind.one, bytes })

test('a set gives its values, however they are encoded', () => {
  const values = [0, -1, 'é', '\ufffd', 'a'.repeat(500), { n: 1n }, [undefined], null, '']
  const set = setOf(values.map((value) => one(codec.encode(value))))
  expect(decodeValue(codec, set)).toEqual(values)
  // A codec of bytes alone, and bytes that are no Buffer.
  const { name, text, encode, decode } = codec
  expect(decodeValue({ name, text, encode, decode }, set)).toEqual(values)
  expect(decodeValue(codec, { kind: Kind.set, bytes: new Uint8Array(set.bytes) })).toEqual(values)
})

test('a value of a set is held to the limits of the codec', () => {
  const set = setOf([one(Buffer.from('"123456789"'))])
  expect(() => decodeValue(jsonCodec({ maxBytes: 10 }), set)).toThrow(
    expect.objectContaining({ code: 'TASKS_VALUE_TOO_LARGE' }),
  )
  expect(decodeValue(jsonCodec({ maxBytes: 11 }), set)).toEqual(['123456789'])
})

test('a value of a set that is not UTF-8 is refused', () => {
  const set = setOf([one(codec.encode(1)), one(new Uint8Array([0x22, 0xff, 0x22]))])
  expect(() => decodeValue(codec, set)).toThrow(expect.objectContaining({ code: 'TASKS_UNDECODABLE' }))
})

test('short and long texts are encoded alike, whatever they hold', () => {
  for (const text of [
    '',
    'a',
    'ü',
    '€uro',
    '\u0000',
    '\u007f',
    '\u0080',
    '😀',
    'b'.repeat(22),
    'b'.repeat(23),
    'b'.repeat(24),
  ])
    expect(Buffer.from(codec.encode(text))).toEqual(Buffer.from(JSON.stringify(text)))
})
