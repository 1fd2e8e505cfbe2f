// The default codec: JSON, with the values that JSON lacks kept by tags.
//
// Version 1 of the encoding. Plain data is plain JSON. Anything else is an object whose first key is "$t":
//
//   {"$t":"undefined"}                    undefined; also the holes of an array
//   {"$t":"number","v":"NaN"}             NaN, Infinity, -Infinity, -0
//   {"$t":"bigint","v":"123"}             decimal
//   {"$t":"Date","v":1700000000000}       ms since the epoch; null for an invalid date
//   {"$t":"Map","v":[[k,v],…]}            {"$t":"Set","v":[…]}
//   {"$t":"Uint8Array","v":"base64"}      any typed array by its name, ArrayBuffer, DataView, Buffer; little-endian
//   {"$t":"Error","v":Failure}            {"$t":"TaskError","v":Failure}
//   {"$t":"object","v":{…}}               a plain object that has a key "$t" of its own; its keys are taken literally
//
// A later version adds tags; an unknown tag is refused, never guessed. Kept are own enumerable properties with string keys: not symbols as keys, not
// names on arrays, not accessors (their value is). An object is plain if its prototype is Object.prototype (of any realm) or null, and
// comes back with Object.prototype. A class instance with toJSON is what toJSON gives. What is used twice comes back as two.
import { endianness } from 'node:os'
import { isUtf8 } from 'node:buffer'
import { types } from 'node:util'
import type { Codec } from './codec'
import { TaskError } from './errors'
import { fromFailure, toFailure, type Failure } from './failure'

export interface JsonCodecOptions {
  /** How deep objects and arrays may be nested. Default 200. */
  readonly maxDepth?: number
  /** The most bytes of one encoded value. Default 64 MiB. */
  readonly maxBytes?: number
}

/**
 * JSON with Date, bigint, Map, Set, typed arrays, undefined, NaN, infinities, -0 and errors kept.
 * @throws TaskError TASKS_OPTIONS if a limit is not a positive integer
 */
export function jsonCodec(options: JsonCodecOptions = {}): Codec {
  const { maxDepth = 200, maxBytes = 64 * 1024 * 1024 } = options
  for (const [name, value] of Object.entries({ maxDepth, maxBytes })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new TaskError('TASKS_OPTIONS', `jsonCodec: ${name} must be a positive integer, not ${String(value)}`)
    }
  }
  return {
    name: 'json',
    text: true,
    encode: (value) => encode(value, maxDepth, maxBytes),
    decode: (bytes) => decode(bytes, maxDepth, maxBytes),
    encodeText: (value) => encodeText(value, maxDepth, maxBytes),
    decodeText: (text) => decodeText(text, maxDepth, maxBytes),
  }
}

// ---- Encoding ------------------------------------------------------------------------------------------------------

function encode(value: unknown, maxDepth: number, maxBytes: number): Buffer {
  const text = encodeText(value, maxDepth, maxBytes)
  return (text.length <= SHORT ? shortAscii(text) : undefined) ?? Buffer.from(text)
}

const SHORT = 24

/** The bytes of a text that costs less to copy here than to hand to the encoder of UTF-8; undefined if it is not ASCII. */
function shortAscii(text: string): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(text.length)
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 127) return undefined
    bytes[i] = unit
  }
  return bytes
}

function encodeText(value: unknown, maxDepth: number, maxBytes: number): string {
  // Most values are plain; one look is cheaper than a copy. The look counts bytes that are certain to be needed: that ends the
  // walk of a value that uses its parts twice, and their parts twice, and so on.
  let text: string
  try {
    const plain = isPlain(value, maxDepth, { left: maxBytes })
    text = JSON.stringify(plain ? value : new Tagger(maxDepth, maxBytes).tag(value))
  } catch (error) {
    if (TaskError.is(error)) throw error
    // V8: a string of more than half a GiB.
    if (error instanceof RangeError && /string length/.test(error.message)) {
      throw tooLarge('more than', maxBytes, maxBytes)
    }
    throw new TaskError('TASKS_UNENCODABLE', `the value cannot be read: ${String(error)}`, { cause: error })
  }
  if (text.length > maxBytes) throw tooLarge('at least', text.length, maxBytes)
  // A UTF-16 unit is at most three bytes.
  if (text.length > maxBytes / 3) {
    const bytes = Buffer.byteLength(text)
    if (bytes > maxBytes) throw tooLarge('', bytes, maxBytes)
  }
  return text
}

function tooLarge(how: string, bytes: number, maxBytes: number): TaskError {
  return new TaskError(
    'TASKS_VALUE_TOO_LARGE',
    `the value takes ${how}${how && ' '}${bytes} bytes; at most ${maxBytes} are allowed`,
  )
}

/** Whether JSON.stringify keeps all of it. False is also the answer to whatever needs a closer look: depth, cycles. */
function isPlain(value: unknown, depth: number, scan: { left: number }): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      // Of the finite numbers JSON loses only -0.
      return Number.isFinite(value) && (value !== 0 || 1 / value > 0)
    case 'object':
      break
    case 'undefined':
    case 'bigint':
    case 'function':
    case 'symbol':
      return false
  }
  if (value === null) return true
  if (depth === 0) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) return false
    if ((scan.left -= 2 * value.length + 2) < 0) return false
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth - 1, scan)) return false
    return true
  }
  if (prototype !== Object.prototype && prototype !== null) return false
  if ((scan.left -= 2) < 0) return false
  const object = value as Record<string, unknown>
  for (const key in object) {
    if (key === '$t' || key === '__proto__' || key === 'constructor' || key === 'toJSON') return false
    if ((scan.left -= 4) < 0 || !isPlain(object[key], depth - 1, scan)) return false
  }
  return true
}

/** Copies a value into one that JSON.stringify keeps. */
class Tagger {
  readonly #maxDepth: number
  readonly #maxBytes: number
  #left: number
  // What encloses the value being looked at, and the way there.
  readonly #above: object[] = []
  readonly #path: string[] = []

  constructor(maxDepth: number, maxBytes: number) {
    this.#maxDepth = maxDepth
    this.#maxBytes = maxBytes
    this.#left = maxBytes
  }

  tag(value: unknown): unknown {
    if (--this.#left < 0) throw tooLarge('more than', this.#maxBytes, this.#maxBytes)
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        if (Number.isFinite(value) && !Object.is(value, -0)) return value
        return { $t: 'number', v: Object.is(value, -0) ? '-0' : String(value) }
      case 'undefined':
        return { $t: 'undefined' }
      case 'bigint':
        return { $t: 'bigint', v: String(value) }
      case 'function':
        throw this.#unencodable(`is a function${value.name ? ` (${value.name})` : ''}`)
      case 'symbol':
        throw this.#unencodable('is a symbol')
      case 'object':
        return value === null ? null : this.#object(value)
    }
  }

  #object(value: object): unknown {
    if (this.#above.includes(value)) throw this.#unencodable('contains itself')
    if (this.#above.length >= this.#maxDepth) {
      throw new TaskError(
        'TASKS_VALUE_TOO_LARGE',
        `the value is nested deeper than ${this.#maxDepth} levels, at ${this.#where().slice(0, 200)}`,
      )
    }
    this.#above.push(value)
    const tagged = this.#inside(value)
    this.#above.pop()
    return tagged
  }

  #inside(value: object): unknown {
    if (Array.isArray(value)) return this.#array(value)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (isObjectPrototype(prototype)) return this.#plain(value as Record<string, unknown>)
    if (types.isDate(value)) {
      const time = value.getTime()
      return { $t: 'Date', v: Number.isNaN(time) ? null : time }
    }
    // An error of a class of its own is kept as an error; other subclasses are judged below, as instances.
    if (types.isNativeError(value) || value instanceof Error) {
      return { $t: TaskError.is(value) ? 'TaskError' : 'Error', v: toFailure(value) }
    }
    if (Buffer.isBuffer(value)) return { $t: 'Buffer', v: value.toString('base64') }
    if (types.isAnyArrayBuffer(value) && !types.isSharedArrayBuffer(value)) {
      return { $t: 'ArrayBuffer', v: Buffer.from(value).toString('base64') }
    }
    if (ArrayBuffer.isView(value)) return this.#view(value)
    if (isDirect(prototype)) {
      if (types.isMap(value)) return { $t: 'Map', v: this.#map(value) }
      if (types.isSet(value)) return { $t: 'Set', v: [...value].map((item, i) => this.#at(`<item ${i}>`, item)) }
    }
    const { toJSON } = value as { toJSON?: unknown }
    if (typeof toJSON === 'function') {
      if ((value as Record<symbol, unknown>)[Symbol.for('@tasks/core/Pipeline')] === true) {
        throw this.#unencodable('is a pipeline: return it from a task, or continue with it; it is not a value')
      }
      return this.tag(toJSON.call(value, this.#path.at(-1) ?? ''))
    }
    throw this.#unencodable(`is an instance of ${className(value)}, which has no toJSON`)
  }

  #array(array: readonly unknown[]): unknown {
    if (Object.getPrototypeOf(array) !== Array.prototype && !isArrayPrototype(Object.getPrototypeOf(array))) {
      const { toJSON } = array as { toJSON?: unknown }
      if (typeof toJSON === 'function') return this.tag(toJSON.call(array, this.#path.at(-1) ?? ''))
      throw this.#unencodable(`is an instance of ${className(array)}, which has no toJSON`)
    }
    // Not `map`: it skips holes.
    return Array.from(array, (item, i) => this.#at(`[${i}]`, item))
  }

  #plain(object: Record<string, unknown>): unknown {
    const { toJSON } = object
    if (typeof toJSON === 'function') return this.tag(toJSON.call(object, this.#path.at(-1) ?? ''))
    const copy: Record<string, unknown> = {}
    for (const key of Object.keys(object)) {
      const value = object[key]
      if (isUnsafe(key, value))
        throw this.#unencodable(`has the key ${JSON.stringify(key)}, which is refused where it is decoded`)
      copy[key] = this.#at(step(key), value)
    }
    return '$t' in copy ? { $t: 'object', v: copy } : copy
  }

  #map(map: ReadonlyMap<unknown, unknown>): unknown[] {
    let i = 0
    return Array.from(map, ([key, value]) => {
      const shown = typeof key === 'string' ? JSON.stringify(key) : String(i)
      i++
      return [this.#at(`<key ${shown}>`, key), this.#at(`<value ${shown}>`, value)]
    })
  }

  #view(view: ArrayBufferView): unknown {
    const name = types.isDataView(view) ? 'DataView' : (view as Uint8Array)[Symbol.toStringTag]
    // Direct: %TypedArray%.prototype is between its own prototype and Object's. A subclass would come back as something else.
    const depth = name === 'DataView' ? 2 : 3
    if (prototypes(view) !== depth) throw this.#unencodable(`is an instance of ${className(view)}, which has no toJSON`)
    const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
    return { $t: name, v: swapped(bytes, name).toString('base64') }
  }

  #at(step: string, value: unknown): unknown {
    this.#path.push(step)
    const tagged = this.tag(value)
    this.#path.pop()
    return tagged
  }

  #where(): string {
    return `$${this.#path.join('')}`
  }

  #unencodable(why: string): TaskError {
    return new TaskError('TASKS_UNENCODABLE', `the value at ${this.#where()} ${why}`, {
      details: { path: this.#where() },
    })
  }
}

function step(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}

// Prototypes are compared by place, not identity: a vm context (and so a test runner) has its own Object.
function isObjectPrototype(prototype: unknown): boolean {
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}

function isArrayPrototype(prototype: object | null): boolean {
  return prototype !== null && Array.isArray(prototype) && isObjectPrototype(Object.getPrototypeOf(prototype))
}

function isDirect(prototype: unknown): boolean {
  return isObjectPrototype(Object.getPrototypeOf(prototype as object))
}

function prototypes(value: object): number {
  let count = 0
  for (let at: unknown = Object.getPrototypeOf(value); at !== null; at = Object.getPrototypeOf(at)) count++
  return count
}

function className(value: object): string {
  const { constructor } = value as { constructor?: { name?: unknown } }
  return typeof constructor?.name === 'string' && constructor.name !== '' ? constructor.name : 'a class without a name'
}

// Keys by which decoded data could reach the prototypes of whoever merges it.
function isUnsafe(key: string, value: unknown): boolean {
  return (
    key === '__proto__' ||
    (key === 'constructor' && typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype'))
  )
}

// ---- Decoding ------------------------------------------------------------------------------------------------------

function decode(bytes: Uint8Array, maxDepth: number, maxBytes: number): unknown {
  if (bytes.length > maxBytes) throw tooLarge('', bytes.length, maxBytes)
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // A level takes two bytes: shorter values cannot be too deep. A tag takes up to three levels of text for one of the value, an error more.
  const depth = buffer.length > 2 * maxDepth ? depthOf(buffer) : 0
  if (depth > 3 * maxDepth + 64) throw tooDeep(maxDepth)
  const text = buffer.toString()
  // U+FFFD may be meant; it is also what malformed UTF-8 turns into.
  if (text.includes('\ufffd') && !isUtf8(buffer)) throw new TaskError('TASKS_UNDECODABLE', 'the value is not UTF-8')
  return parse(text, depth, maxDepth)
}

function decodeText(text: string, maxDepth: number, maxBytes: number): unknown {
  // Neither too deep nor too long, whatever it holds: a UTF-16 unit is at most three bytes.
  const isSmall = text.length <= 2 * maxDepth && 3 * text.length <= maxBytes
  return isSmall ? parse(text, 0, maxDepth) : decode(Buffer.from(text), maxDepth, maxBytes)
}

function parse(text: string, depth: number, maxDepth: number): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new TaskError('TASKS_UNDECODABLE', `the value is not JSON (${Buffer.byteLength(text)} bytes)`, { cause })
  }
  if (isSuspect(text)) return untag(value, 0, maxDepth)
  if (depth > maxDepth) throw tooDeep(maxDepth)
  return value
}

// Only such texts can hold a tag or an unsafe key; \u may spell either. A text without a quote holds neither.
function isSuspect(text: string): boolean {
  if (!text.includes('"')) return false
  return text.includes('$t"') || text.includes('__proto__') || text.includes('constructor"') || text.includes('\\u')
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** How deep brackets are nested, before anything is parsed. */
function depthOf(bytes: Buffer): number {
  let depth = 0
  let deepest = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      i = endOfString(bytes, i)
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > deepest) deepest = depth
    } else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return deepest
}

function endOfString(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end >= 0; end = bytes.indexOf(QUOTE, end + 1)) {
    let escapes = 0
    while (bytes[end - 1 - escapes] === BACKSLASH) escapes++
    if (escapes % 2 === 0) return end
  }
  // Unterminated: JSON.parse says so.
  return bytes.length
}

function tooDeep(maxDepth: number): TaskError {
  return new TaskError('TASKS_VALUE_TOO_LARGE', `the value is nested deeper than ${maxDepth} levels`)
}

function malformed(why: string): TaskError {
  return new TaskError('TASKS_UNDECODABLE', why)
}

// Replaces tags in place: the parsed value is ours.
function untag(value: unknown, depth: number, maxDepth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth >= maxDepth) throw tooDeep(maxDepth)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = untag(value[i], depth + 1, maxDepth)
    return value
  }
  const object = value as Record<string, unknown>
  if (Object.hasOwn(object, '$t')) return untagged(object['$t'], object['v'], depth, maxDepth)
  return untagKeys(object, depth, maxDepth)
}

function untagKeys(object: Record<string, unknown>, depth: number, maxDepth: number): unknown {
  for (const key of Object.keys(object)) {
    if (isUnsafe(key, object[key])) throw malformed(`the value has the key ${JSON.stringify(key)}, which is refused`)
    object[key] = untag(object[key], depth + 1, maxDepth)
  }
  return object
}

function untagged(tag: unknown, v: unknown, depth: number, maxDepth: number): unknown {
  switch (tag) {
    case 'undefined':
      return undefined
    case 'number':
      if (v === 'NaN' || v === 'Infinity' || v === '-Infinity' || v === '-0') return Number(v)
      break
    case 'bigint':
      if (typeof v === 'string' && /^-?\d+$/.test(v)) return BigInt(v)
      break
    case 'Date':
      if (v === null) return new Date(NaN)
      if (typeof v === 'number') return new Date(v)
      break
    case 'Map':
      if (Array.isArray(v) && v.every((pair) => Array.isArray(pair) && pair.length === 2)) {
        return new Map(
          (v as [unknown, unknown][]).map(([key, x]) => [
            untag(key, depth + 1, maxDepth),
            untag(x, depth + 1, maxDepth),
          ]),
        )
      }
      break
    case 'Set':
      if (Array.isArray(v)) return new Set(v.map((x) => untag(x, depth + 1, maxDepth)))
      break
    case 'Error':
    case 'TaskError':
      if (typeof v === 'object' && v !== null) {
        return tag === 'TaskError' ? fromFailure(v as Failure) : nativeError(v as Failure)
      }
      break
    case 'object':
      if (typeof v === 'object' && v !== null && !Array.isArray(v))
        return untagKeys(v as Record<string, unknown>, depth, maxDepth)
      break
    case 'Buffer':
      if (typeof v === 'string') return Buffer.from(v, 'base64')
      break
    default:
      if (typeof tag === 'string' && typeof v === 'string' && BINARY.has(tag)) return binary(tag, v)
      throw malformed(
        `the value has the unknown tag ${JSON.stringify(tag)}: it was written by a newer version, or it is not ours`,
      )
  }
  throw malformed(`the value has a malformed ${tag}`)
}

const NATIVE_ERRORS = new Map<string, new (message: string, options?: ErrorOptions) => Error>(
  [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError].map((type) => [type.name, type]),
)

// An error that was a value, not a failure, comes back as what it was as nearly as this process can.
function nativeError(failure: Failure): Error {
  const like = fromFailure(failure)
  const options = failure.cause === undefined ? undefined : { cause: native(failure.cause) }
  const error =
    failure.name === 'AggregateError'
      ? new AggregateError((failure.errors ?? []).map(native), like.message, options)
      : new (NATIVE_ERRORS.get(like.name) ?? Error)(like.message, options)
  for (const [key, value] of [
    ['name', like.name],
    ['stack', like.stack],
  ] as const) {
    if (error[key] !== value) Object.defineProperty(error, key, { value, writable: true, configurable: true })
  }
  return Object.assign(error, like.details)
}

// Inside a value, an error that names no task was not made by this library.
function native(failure: Failure): Error {
  return failure.code === 'TASKS_TASK_FAILED' && failure.task === undefined
    ? nativeError(failure)
    : fromFailure(failure)
}

// ---- Binary --------------------------------------------------------------------------------------------------------

const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  Int8Array: 1,
  Uint8Array: 1,
  Uint8ClampedArray: 1,
  Int16Array: 2,
  Uint16Array: 2,
  Float16Array: 2,
  Int32Array: 4,
  Uint32Array: 4,
  Float32Array: 4,
  Float64Array: 8,
  BigInt64Array: 8,
  BigUint64Array: 8,
}

const BINARY = new Set(['ArrayBuffer', 'DataView', ...Object.keys(ELEMENT_BYTES)])

const isBigEndian = endianness() === 'BE'

/** The bytes in little-endian order, from ours or to ours. */
function swapped(bytes: Buffer, name: string): Buffer {
  const size = ELEMENT_BYTES[name] ?? 1
  if (!isBigEndian || size === 1) return bytes
  const copy = Buffer.from(bytes)
  return size === 2 ? copy.swap16() : size === 4 ? copy.swap32() : copy.swap64()
}

function binary(name: string, base64: string): unknown {
  const decoded = Buffer.from(base64, 'base64')
  // Copied: the small buffers of Node share one allocation, which an ArrayBuffer would expose.
  const buffer = new ArrayBuffer(decoded.length)
  Buffer.from(buffer).set(swapped(decoded, name))
  if (name === 'ArrayBuffer') return buffer
  const size = ELEMENT_BYTES[name] ?? 1
  const type = (globalThis as unknown as Record<string, (new (buffer: ArrayBuffer) => unknown) | undefined>)[name]
  if (type === undefined || buffer.byteLength % size !== 0) throw malformed(`the value has a malformed ${name}`)
  return new type(buffer)
}
