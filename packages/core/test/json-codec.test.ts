import { isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NonRetryableError, TaskError } from '../src/errors'
import { jsonCodec } from '../src/json-codec'

const codec = jsonCodec()
const text = (value: unknown): string => Buffer.from(codec.encode(value)).toString()
const parse = (json: string): unknown => codec.decode(Buffer.from(json))
const roundTrip = (value: unknown): unknown => codec.decode(codec.encode(value))

// Every value of the encoding, and keys that look like its tags.
const key = fc
  .oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('$t', 'v', '$t"', 'toString', 'constructor', '\\u0024t'))
  .filter((k) => k !== '__proto__')
const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('$t', '{"$t":"Date","v":0}', '__proto__', 'constructor'),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constantFrom(null, undefined, -0, NaN, Infinity, -Infinity),
  fc.bigInt(),
  // An invalid date is not deeply equal to itself; a case of its own has it.
  fc.date({ noInvalidDate: true }),
  fc.uint8Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.int16Array(),
)
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie('value')),
    fc.dictionary(key, tie('value'), { noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value'))).map((pairs) => new Map(pairs)),
    fc.array(tie('value')).map((items) => new Set(items)),
  ),
}))

describe('plain data', () => {
  test('is plain JSON', () => {
    const order = { id: 7, items: ['a', { price: 1.5, note: null }], paid: true }
    expect(text(order)).toBe(JSON.stringify(order))
    expect(text('x')).toBe('"x"')
    expect(text([])).toBe('[]')
  })

  test('of another realm is plain, too', () => {
    expect(roundTrip(runInNewContext('({ a: [1, { b: null }], d: new Date(5), m: new Map([[1, 2]]) })'))).toEqual({
      a: [1, { b: null }],
      d: new Date(5),
      m: new Map([[1, 2]]),
    })
  })

  test('is not copied by reading it', () => {
    const value = { at: new Date(0), list: [undefined] }
    codec.encode(value)
    expect(value).toEqual({ at: new Date(0), list: [undefined] })
  })
})

describe('the encoding, version 1,', () => {
  // Wire format: these never change.
  test.each([
    [undefined, '{"$t":"undefined"}'],
    [
      [NaN, Infinity, -Infinity, -0],
      '[{"$t":"number","v":"NaN"},{"$t":"number","v":"Infinity"},{"$t":"number","v":"-Infinity"},{"$t":"number","v":"-0"}]',
    ],
    [-12345678901234567890n, '{"$t":"bigint","v":"-12345678901234567890"}'],
    [new Date(1_700_000_000_000), '{"$t":"Date","v":1700000000000}'],
    [new Date(NaN), '{"$t":"Date","v":null}'],
    [
      new Map<unknown, unknown>([
        ['a', 1],
        [{}, new Set([2])],
      ]),
      '{"$t":"Map","v":[["a",1],[{},{"$t":"Set","v":[2]}]]}',
    ],
    [new Uint8Array([1, 2, 255]), '{"$t":"Uint8Array","v":"AQL/"}'],
    [new Float64Array([1.5]), '{"$t":"Float64Array","v":"AAAAAAAA+D8="}'],
    [new Uint8Array([1, 2]).buffer, '{"$t":"ArrayBuffer","v":"AQI="}'],
    [new DataView(new Uint8Array([9, 1, 2]).buffer, 1), '{"$t":"DataView","v":"AQI="}'],
    [Buffer.from('hi'), '{"$t":"Buffer","v":"aGk="}'],
    [{ $t: 'Date', v: 0 }, '{"$t":"object","v":{"$t":"Date","v":0}}'],
    [{ a: { $t: 1n } }, '{"a":{"$t":"object","v":{"$t":{"$t":"bigint","v":"1"}}}}'],
  ])('of %o', (value, json) => {
    expect(text(value)).toBe(json)
    expect(parse(json)).toStrictEqual(value)
  })

  test('of any value comes back', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        // Not toStrictEqual: it takes a key named constructor for the class.
        expect(isDeepStrictEqual(roundTrip(value), value)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test('of what came back is the same', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(text(roundTrip(value))).toBe(text(value))
      }),
    )
  })

  test('fills the holes of an array', () => {
    const holes: unknown[] = [1]
    holes[2] = 3
    expect(roundTrip(holes)).toStrictEqual([1, undefined, 3])
  })

  test('gives each typed array memory of its own', () => {
    const bytes = roundTrip(new Uint8Array([1, 2, 3])) as Uint8Array
    expect(bytes.buffer.byteLength).toBe(3)
  })

  test('calls toJSON', () => {
    class Money {
      readonly #cents = 250n
      toJSON(): unknown {
        return { cents: this.#cents }
      }
    }
    expect(roundTrip([new Money(), { toJSON: (): string => 'own' }])).toEqual([{ cents: 250n }, 'own'])
    expect(roundTrip(new URL('https://example.com/'))).toBe('https://example.com/')
  })
})

describe('errors', () => {
  test('come back as errors of their kind', () => {
    const error = Object.assign(new RangeError('far', { cause: new TypeError('why') }), { code: 'EFAR' })
    const back = (roundTrip({ error }) as { error: RangeError & { code: string } }).error
    expect(back).toBeInstanceOf(RangeError)
    expect([back.message, back.stack, back.code]).toEqual(['far', error.stack, 'EFAR'])
    expect(back.cause).toBeInstanceOf(TypeError)
    class Custom extends Error {
      override name = 'Custom'
    }
    expect(roundTrip(new Custom('x'))).toMatchObject({ name: 'Custom', message: 'x' })
    expect((roundTrip(new AggregateError([new URIError('a')], 'many')) as AggregateError).errors[0]).toBeInstanceOf(
      URIError,
    )
  })

  test('of ours come back as ours', () => {
    const error = new TaskError('TASKS_TIMEOUT', 'slow', {
      task: { name: 'a', id: '0', attempt: 1 },
      details: { $t: 'Date', v: 1 },
    })
    const back = roundTrip([error]) as [TaskError]
    expect(TaskError.is(back[0])).toBe(true)
    expect(back[0]).toMatchObject({
      code: 'TASKS_TIMEOUT',
      message: 'slow',
      task: { name: 'a' },
      details: { $t: 'Date', v: 1 },
    })
    expect(NonRetryableError.is(roundTrip(new NonRetryableError('no')))).toBe(true)
  })

  test('with deep causes come back from deep inside', () => {
    let error = new Error('0')
    for (let i = 0; i < 20; i++) error = new Error(String(i), { cause: error })
    let value: unknown = error
    for (let i = 0; i < 199; i++) value = new Map([[1, value]])
    expect(() => roundTrip(value)).not.toThrow()
  })
})

describe('a value that cannot be carried is refused by its path:', () => {
  class Point {
    constructor(readonly x: number) {}
  }
  class Bag extends Set {}
  class Stack extends Array {}
  class Pixels extends Uint8Array {}
  const loop: Record<string, unknown> = { a: [{}] }
  ;(loop['a'] as unknown[])[1] = { b: loop }
  test.each([
    [{ a: [0, 0, 0, { b: () => 1 }] }, 'the value at $.a[3].b is a function (b)'],
    [[Symbol('s')], 'the value at $[0] is a symbol'],
    [{ 'a b': new Point(1) }, 'the value at $["a b"] is an instance of Point, which has no toJSON'],
    [new Map([['k', new Point(1)]]), 'the value at $<value "k"> is an instance of Point, which has no toJSON'],
    [new Set([new Point(1)]), 'the value at $<item 0> is an instance of Point, which has no toJSON'],
    [loop, 'the value at $.a[1].b contains itself'],
    [new Bag(), 'the value at $ is an instance of Bag, which has no toJSON'],
    [[new Stack()], 'the value at $[0] is an instance of Stack, which has no toJSON'],
    [new Pixels(1), 'the value at $ is an instance of Pixels, which has no toJSON'],
    [new WeakMap(), 'the value at $ is an instance of WeakMap, which has no toJSON'],
    [Promise.resolve(1), 'the value at $ is an instance of Promise, which has no toJSON'],
    [new Number(1), 'the value at $ is an instance of Number, which has no toJSON'],
    [/x/, 'the value at $ is an instance of RegExp, which has no toJSON'],
    [new SharedArrayBuffer(1), 'the value at $ is an instance of SharedArrayBuffer, which has no toJSON'],
    [
      { a: JSON.parse('{"__proto__":1}') },
      'the value at $.a has the key "__proto__", which is refused where it is decoded',
    ],
    [
      { constructor: { prototype: {} } },
      'the value at $ has the key "constructor", which is refused where it is decoded',
    ],
  ])('%#', (value, message) => {
    expect(() => codec.encode(value)).toThrow(expect.objectContaining({ code: 'TASKS_UNENCODABLE', message }))
  })

  test('an accessor that throws', () => {
    const value = {
      get a(): number {
        throw new Error('no')
      },
    }
    expect(() => codec.encode(value)).toThrow('the value cannot be read: Error: no')
  })
})

describe('limits', () => {
  const nested = (depth: number): unknown => {
    let value: unknown = 1
    for (let i = 0; i < depth; i++) value = [value]
    return value
  }

  test('of depth', () => {
    expect(roundTrip(nested(200))).toEqual(nested(200))
    expect(() => codec.encode(nested(201))).toThrow(expect.objectContaining({ code: 'TASKS_VALUE_TOO_LARGE' }))
    for (const depth of [201, 500, 1_000_000]) {
      const json = '['.repeat(depth) + ']'.repeat(depth)
      expect(() => parse(json)).toThrow('the value is nested deeper than 200 levels')
    }
    const tagged = '{"$t":"Set","v":['.repeat(201) + ']}'.repeat(201)
    expect(() => parse(tagged)).toThrow('the value is nested deeper than 200 levels')
  })

  test('brackets in strings do not count', () => {
    expect(roundTrip([`\\"${'[{'.repeat(1000)}`, '\\'])).toEqual([`\\"${'[{'.repeat(1000)}`, '\\'])
  })

  test('of size', () => {
    const small = jsonCodec({ maxBytes: 10 })
    expect(small.encode('12345678')).toHaveLength(10)
    expect(() => small.encode('123456789')).toThrow('the value takes at least 11 bytes; at most 10 are allowed')
    expect(() => small.encode('ééééé')).toThrow('the value takes 12 bytes; at most 10 are allowed')
    expect(() => small.encode([1, 2, 3, 4n, 5])).toThrow(expect.objectContaining({ code: 'TASKS_VALUE_TOO_LARGE' }))
    expect(() => small.decode(Buffer.from('"123456789"'))).toThrow(
      expect.objectContaining({ code: 'TASKS_VALUE_TOO_LARGE' }),
    )
  })

  test('end a value that repeats itself exponentially', () => {
    let plain: unknown = 'x'
    let special: unknown = 1n
    for (let i = 0; i < 100; i++) {
      plain = [plain, plain]
      special = { a: special, b: special }
    }
    const limited = jsonCodec({ maxBytes: 100_000 })
    for (const value of [plain, special, [plain, special]]) {
      expect(() => limited.encode(value)).toThrow(expect.objectContaining({ code: 'TASKS_VALUE_TOO_LARGE' }))
    }
  })

  test('are positive integers', () => {
    for (const maxDepth of [0, -1, 1.5, NaN])
      expect(() => jsonCodec({ maxDepth })).toThrow(/maxDepth must be a positive integer/)
  })
})

describe('bytes that are not ours are refused:', () => {
  test.each([
    ['', 'the value is not JSON (0 bytes)'],
    ['{', 'the value is not JSON (1 bytes)'],
    ['{"a":{"__proto__":{"x":1}}}', 'the value has the key "__proto__", which is refused'],
    ['{"\\u005f_proto__":1}', 'the value has the key "__proto__", which is refused'],
    ['[{"constructor":{"prototype":{}}}]', 'the value has the key "constructor", which is refused'],
    ['{"$t":"object","v":{"__proto__":1}}', 'the value has the key "__proto__", which is refused'],
    [
      '{"$t":"Temporal.Instant","v":"x"}',
      'the value has the unknown tag "Temporal.Instant": it was written by a newer version, or it is not ours',
    ],
    ['{"\\u0024t":7}', 'the value has the unknown tag 7: it was written by a newer version, or it is not ours'],
    ['{"$t":"bigint","v":"1e9"}', 'the value has a malformed bigint'],
    ['{"$t":"Date","v":"x"}', 'the value has a malformed Date'],
    ['{"$t":"Map","v":[[1]]}', 'the value has a malformed Map'],
    ['{"$t":"Set","v":{}}', 'the value has a malformed Set'],
    ['{"$t":"number","v":"7"}', 'the value has a malformed number'],
    ['{"$t":"Float64Array","v":"AAA="}', 'the value has a malformed Float64Array'],
    [
      '{"$t":"Function","v":"x"}',
      'the value has the unknown tag "Function": it was written by a newer version, or it is not ours',
    ],
  ])('%s', (json, message) => {
    expect(() => parse(json)).toThrow(expect.objectContaining({ code: 'TASKS_UNDECODABLE', message }))
  })

  test('malformed UTF-8', () => {
    expect(() => codec.decode(Buffer.from([0x22, 0xff, 0x22]))).toThrow('the value is not UTF-8')
    expect(roundTrip('\ufffd')).toBe('\ufffd')
  })

  test('but a string that mentions such keys is a string', () => {
    for (const s of ['__proto__', '{"$t":"Date"}', 'constructor', '\u0000'])
      expect(roundTrip({ s: [s] })).toEqual({ s: [s] })
    expect(roundTrip({ constructor: 'Ferrari' })).toEqual({ constructor: 'Ferrari' })
  })

  test('and nothing but a typed error comes of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(thrownBy(() => codec.decode(bytes))).toSatisfy((error) => error === undefined || TaskError.is(error))
      }),
    )
  })
})

function thrownBy(fn: () => unknown): unknown {
  try {
    fn()
    return undefined
  } catch (error) {
    return error
  }
}
