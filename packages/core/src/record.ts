// The shape of everything that is stored or sent: one line of JSON, a newline, then raw bytes. JSON text holds no raw
// newline, so the first one ends the header; the header says how the bytes are to be cut. So a person can read a row or a message
// with the broker's own shell, and payload bytes stay opaque: they are joined and cut here, never decoded.
import { TaskError } from './errors'
import type { Bytes } from './transport'

const NEWLINE = 10
const EMPTY: readonly Bytes[] = []

/** Joins a header and the payload bytes that follow it. */
export function encodeRecord(header: unknown, parts: readonly Bytes[] = EMPTY): Bytes {
  const text = JSON.stringify(header)
  if (parts.length === 0) return Buffer.from(text + '\n')
  let payload = 0
  for (const part of parts) payload += part.length
  // ASCII is one byte a character; only a longer text is measured.
  const longest = text.length * 3
  const size = longest <= 512 ? longest : Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(size + 1 + payload)
  let at = bytes.write(text, 0)
  bytes[at++] = NEWLINE
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return at === bytes.length ? bytes : bytes.subarray(0, at)
}

/** Cuts a record. Throws `TASKS_UNDECODABLE` if the header is not a JSON array. */
export function decodeRecord(bytes: Bytes): { readonly header: readonly unknown[]; readonly payload: Payload } {
  const end = bytes.indexOf(NEWLINE)
  if (end < 0) throw new TaskError('TASKS_UNDECODABLE', `a record of ${bytes.length} bytes has no header line`)
  const buffer = asBuffer(bytes)
  let header: unknown
  try {
    header = JSON.parse(buffer.utf8Slice(0, end))
  } catch (cause) {
    throw new TaskError('TASKS_UNDECODABLE', `a record of ${bytes.length} bytes has a header that is not JSON`, {
      cause,
    })
  }
  if (!Array.isArray(header)) throw new TaskError('TASKS_UNDECODABLE', 'the header of a record is not an array')
  return { header, payload: new Payload(buffer, end + 1) }
}

/** The bytes behind a header, taken off in order. Slices share the record's memory. */
export class Payload {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  take(length: number): Bytes {
    const from = this.#at
    const to = from + length
    if (!(length >= 0) || to > this.#bytes.length) {
      throw new TaskError('TASKS_UNDECODABLE', `a record ends ${to - this.#bytes.length} bytes before its header says`)
    }
    this.#at = to
    return this.#bytes.subarray(from, to)
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }
}

export function asBuffer(bytes: Bytes): Buffer & { utf8Slice(from: number, to: number): string } {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer as Buffer & { utf8Slice(from: number, to: number): string }
}
