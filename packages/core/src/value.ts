// A value on the wire: what it is, and its bytes. The engine moves values, joins them and stores them; only clients and workers decode them.
import { TaskError } from './errors'
import type { Failure } from './failure'
import { asBuffer } from './record'
import type { Bytes } from './transport'

/** What the bytes of a value are. The numbers are wire format. */
export const Kind = {
  /** Nothing: passes no argument on. No bytes. */
  none: 0,
  /** One value, encoded by the codec. */
  one: 1,
  /** Several arguments: the codec's encoding of their array. */
  spread: 2,
  /** A definition that a task returned: see wire/packed-definition.ts. */
  pipeline: 3,
  /** A value stored as a blob: see `Reference`. */
  reference: 4,
  /** The results of a group: frames, in the order of its chains. */
  set: 5,
  /** A `Failure`, as JSON. */
  error: 6,
  /** The failures of a group: a frame `one` with `GroupFailures` as JSON, then frames of errors. */
  errors: 7,
  /** What a chain of a group has set of the pipeline's state, behind its result: see state.ts. Only in rows. */
  state: 8,
} as const

export type Kind = (typeof Kind)[keyof typeof Kind]

/** @throws TaskError TASKS_VALUE_TOO_LARGE */
export function checkLength(what: string, length: number, limit: number): void {
  if (length > limit) throw new TaskError('TASKS_VALUE_TOO_LARGE', `${what} is ${length} bytes; the limit is ${limit}`)
}

export interface Value {
  readonly kind: Kind
  readonly bytes: Bytes
}

export const NONE: Value = { kind: Kind.none, bytes: new Uint8Array(0) }

export function isFailure(value: Value): boolean {
  return value.kind === Kind.error || value.kind === Kind.errors
}

/** A value that was too large for a message: where its pages are, what they are, and how to know that they are whole. */
export interface Reference {
  /** The blob's name under its pipeline's prefix. */
  readonly name: string
  /** What the bytes are, once fetched. Never `reference`. */
  readonly kind: Kind
  readonly length: number
  readonly crc32: number
}

export function encodeReference(reference: Reference): Value {
  const { name, kind, length, crc32 } = reference
  return { kind: Kind.reference, bytes: Buffer.from(JSON.stringify([name, kind, length, crc32])) }
}

export function decodeReference(value: Value): Reference {
  const [name, kind, length, crc32] = JSON.parse(asBuffer(value.bytes).toString()) as [string, Kind, number, number]
  return { name, kind, length, crc32 }
}

// ---- Frames: values one behind the other. Kind (1 byte), length (varint), bytes. -----------------------------------

/** So many bytes are copied one by one: to ask for it to be done costs more. */
const FEW = 16
/** Of so many bytes a value is short. */
const SHORT = 64

/** A frame among others. */
export interface Part {
  readonly bytes: Bytes
  readonly from: number
  readonly to: number
}

/** Grows as frames are added. */
export class FrameWriter {
  #bytes: Buffer
  #length = 0
  count = 0

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity)
  }

  get length(): number {
    return this.#length
  }

  add(value: Value): void {
    const { kind, bytes } = value
    this.#reserve(bytes.length + 6)
    this.#bytes[this.#length++] = kind
    this.#varint(bytes.length)
    this.#copy(bytes)
    this.count++
  }

  /** A frame with a number before it: how the results of children are kept. */
  addNumbered(number: number, value: Value): void {
    this.#reserve(5)
    this.#varint(number)
    this.add(value)
  }

  /** Copies frames that are already encoded. */
  addRaw(bytes: Bytes, count: number): void {
    this.#reserve(bytes.length)
    this.#copy(bytes)
    this.count += count
  }

  /** A frame of others, as it stands there. */
  addPart({ bytes, from, to }: Part): void {
    this.#reserve(to - from)
    this.#copy(bytes, from, to)
    this.count++
  }

  /** The frames so far. The writer may go on; the returned bytes do not change. */
  bytes(): Bytes {
    return Buffer.from(this.#bytes.subarray(0, this.#length))
  }

  #copy(bytes: Bytes, from = 0, to = bytes.length): void {
    const into = this.#bytes
    let at = this.#length
    this.#length += to - from
    if (to - from > FEW) into.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), at)
    else for (let i = from; i < to; i++) into[at++] = bytes[i]!
  }

  #varint(number: number): void {
    let rest = number
    while (rest > 127) {
      this.#bytes[this.#length++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#bytes[this.#length++] = rest
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
}

/** Reads frames. Values share the memory of the bytes. */
export class FrameReader {
  readonly #bytes: Bytes
  #at = 0

  constructor(bytes: Bytes) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  number(): number {
    let number = 0
    for (let shift = 0; shift <= 28; shift += 7) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) break
      number |= (byte & 127) << shift
      if (byte < 128) return number >>> 0
    }
    throw new TaskError('TASKS_UNDECODABLE', 'a frame ends early')
  }

  /** Of the next value. */
  get kind(): Kind {
    return this.#bytes[this.#at] as Kind
  }

  value(): Value {
    const { kind } = this
    const from = this.skip()
    return { kind, bytes: this.#bytes.subarray(from, this.#at) }
  }

  /** The bytes of the next value as text, if they are short and certain to be UTF-8. Otherwise undefined, and nothing is passed over. */
  shortText(): string | undefined {
    const before = this.#at
    const from = this.skip()
    if (this.#at - from <= SHORT) {
      const text = asBuffer(this.#bytes).utf8Slice(from, this.#at)
      if (!text.includes('\ufffd')) return text
    }
    this.#at = before
    return undefined
  }

  /** The frame of the next value. */
  part(): Part {
    const from = this.#at
    this.skip()
    return { bytes: this.#bytes, from, to: this.#at }
  }

  /** Passes over a value, without an object for it. Returns where its bytes begin. */
  skip(): number {
    const { kind } = this
    this.#at++
    const length = this.number()
    const from = this.#at
    if (from + length > this.#bytes.length || kind > Kind.state)
      throw new TaskError('TASKS_UNDECODABLE', 'a frame ends early')
    this.#at = from + length
    return from
  }
}

/** Whether a set, or a set in it, holds a reference. */
export function holdsReference(set: Value): boolean {
  for (const reader = new FrameReader(set.bytes); !reader.done;) {
    const { kind } = reader
    if (kind === Kind.reference) return true
    if (kind !== Kind.set) reader.skip()
    else if (holdsReference(reader.value())) return true
  }
  return false
}

/** The value of a group: its results in order. */
export function setOf(values: Iterable<Value>): Value {
  const writer = new FrameWriter()
  for (const value of values) writer.add(value)
  return { kind: Kind.set, bytes: writer.bytes() }
}

/** A failure made by the engine itself. */
export function failureValue(
  failure: { readonly code: string; readonly name: string; readonly message: string } & Record<string, unknown>,
): Value {
  return { kind: Kind.error, bytes: Buffer.from(JSON.stringify(failure)) }
}

/** Of the failures of a group at most so many are kept. */
export const FIRST_CAUSES = 100

/** What chain `index` of a group failed with. */
export interface Cause {
  readonly index: number
  readonly failure: Value
}

/** What is said of the failures of a group before they follow, each as a frame. */
export interface GroupFailures {
  /** How many chains failed, of how many. */
  readonly count: number
  readonly size: number
  /** Of those that follow, in their order. */
  readonly indexes: readonly number[]
  readonly suppressed?: readonly Failure[]
}

export function failuresValue(causes: readonly Cause[], count: number, size: number): Value {
  const about: GroupFailures = { count, size, indexes: causes.map(({ index }) => index) }
  const writer = new FrameWriter()
  writer.add({ kind: Kind.one, bytes: Buffer.from(JSON.stringify(about)) })
  for (const { failure } of causes) writer.add(failure)
  return { kind: Kind.errors, bytes: writer.bytes() }
}

/** A failure with one that came after it, and does not take its place: that of a finally. */
export function withSuppressed(failure: Value, suppressed: Value): Value {
  const later = suppressed.kind === Kind.error ? suppressed : errorsAsOne(suppressed)
  const add = (json: Bytes): Buffer => {
    const object = JSON.parse(asBuffer(json).toString()) as { suppressed?: unknown[] }
    const list = [...(object.suppressed ?? []), JSON.parse(asBuffer(later.bytes).toString()) as unknown]
    return Buffer.from(JSON.stringify({ ...object, suppressed: list }))
  }
  if (failure.kind === Kind.error) return { kind: Kind.error, bytes: add(failure.bytes) }
  const writer = new FrameWriter()
  const reader = new FrameReader(failure.bytes)
  writer.add({ kind: Kind.one, bytes: add(reader.value().bytes) })
  while (!reader.done) writer.add(reader.value())
  return { kind: Kind.errors, bytes: writer.bytes() }
}

function errorsAsOne(errors: Value): Value {
  const { count, size } = JSON.parse(asBuffer(new FrameReader(errors.bytes).value().bytes).toString()) as GroupFailures
  return failureValue({
    code: 'TASKS_GROUP_FAILED',
    name: 'TaskError',
    message: `${count} of ${size} chains of a group failed`,
    errorCount: count,
  })
}
