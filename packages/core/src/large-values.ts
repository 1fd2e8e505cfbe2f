// Values that are too large for a message: stored first, as a blob in pages under their run's prefix; the message carries a reference with
// length and checksum. So a broker's message limit is not the user's.
import { crc32 } from 'node:zlib'
import type { Clock } from './clock'
import { TaskError } from './errors'
import { isLoneBlob, loneBlobPrefix } from './lone-task'
import type { Bytes, Capabilities, Space } from './transport'
import {
  checkLength,
  decodeReference,
  encodeReference,
  FrameReader,
  FrameWriter,
  holdsReference,
  Kind,
  type Reference,
  type Value,
} from './value'

/** Largest value, in bytes, on every transport. */
export const MAX_VALUE_BYTES = 64 << 20

/** Sizes that follow from what a transport can carry. */
export interface Limits {
  /** A value above this goes into a blob. */
  readonly inlineBytes: number
  /** Size of a page of a blob, and of a definition's pages. */
  readonly pageBytes: number
  /** Most payload bytes to put into one message. */
  readonly messageBytes: number
}

export function limitsOf(capabilities: Capabilities): Limits {
  const { maxMessageBytes } = capabilities
  return {
    inlineBytes: Math.min(32 << 10, maxMessageBytes >> 3),
    pageBytes: Math.min(256 << 10, maxMessageBytes >> 1),
    messageBytes: Math.min(1 << 20, maxMessageBytes >> 1),
  }
}

const PAGES_AT_ONCE = 8
const MOST_RECENT_BYTES = 32 << 20

export class LargeValues {
  readonly limits: Limits
  readonly #space: Space
  readonly #clock: Clock
  readonly #recent = new Map<string, { readonly value: Promise<Value>; readonly length: number }>()
  #recentBytes = 0

  constructor(space: Space, clock: Clock) {
    this.#space = space
    this.#clock = clock
    this.limits = limitsOf(space.capabilities)
  }

  /** A new blob name, to be used under one run's prefix. */
  name(): string {
    return this.#clock.uid()
  }

  /** The value itself if it fits into a message, else a reference to it, stored. Throws `TASKS_VALUE_TOO_LARGE`. */
  store(prefix: string, value: Value, what: string): Value | Promise<Value> {
    if (value.bytes.length <= this.limits.inlineBytes || value.kind === Kind.reference || value.kind === Kind.pipeline)
      return value
    checkSize(value.bytes.length, what)
    return this.#store(prefix, value)
  }

  /** The same for a value of a lone task, which has no run: its reference holds the whole key. */
  storeAlone(value: Value, what: string): Value | Promise<Value> {
    if (value.bytes.length <= this.limits.inlineBytes) return value
    checkSize(value.bytes.length, what)
    return this.#store('', value, loneBlobPrefix(this.#clock, this.name()) + this.name())
  }

  async #store(prefix: string, { kind, bytes }: Value, name = this.name()): Promise<Value> {
    await this.put(prefix + name, bytes)
    return encodeReference({ name, kind, length: bytes.length, crc32: crc32(bytes) })
  }

  /** Stores bytes as a blob's pages. */
  async put(key: string, bytes: Bytes): Promise<void> {
    const { pageBytes } = this.limits
    const pages = Math.ceil(bytes.length / pageBytes)
    for (let from = 0; from < pages; from += PAGES_AT_ONCE) {
      const batch = Array.from({ length: Math.min(PAGES_AT_ONCE, pages - from) }, (_, index) => from + index)
      await Promise.all(
        batch.map((page) => this.#space.blobs.put(key, page, bytes.subarray(page * pageBytes, (page + 1) * pageBytes))),
      )
    }
  }

  /**
   * The value with everything in it that was stored apart. Synchronous if there is nothing to fetch.
   * @throws TaskError TASKS_NOT_FOUND if a blob is gone, TASKS_UNDECODABLE if it is damaged
   */
  fetch(prefix: string, value: Value): Value | Promise<Value> {
    if (value.kind === Kind.reference) return this.#fetch(prefix, value).then((whole) => this.fetch(prefix, whole))
    return value.kind === Kind.set && holdsReference(value) ? this.#fetchSet(prefix, value) : value
  }

  /** The results of a group, of which some are references. */
  async #fetchSet(prefix: string, set: Value): Promise<Value> {
    const writer = new FrameWriter(set.bytes.length)
    let length = 0
    for (const reader = new FrameReader(set.bytes); !reader.done;) {
      const value = await this.fetch(prefix, reader.value())
      length += value.bytes.length
      checkSize(length, 'the result of a group')
      writer.add(value)
    }
    return { kind: Kind.set, bytes: writer.bytes() }
  }

  /** Blobs are written once, so the latest are kept: a thousand chains of a group that take the same input fetch it once. */
  #fetch(prefix: string, value: Value): Promise<Value> {
    const reference = decodeReference(value)
    const key = isLoneBlob(reference.name) ? reference.name : prefix + reference.name
    const known = this.#recent.get(key)
    if (known !== undefined) return known.value
    const fetched = this.#read(key, reference)
    this.#recent.set(key, { value: fetched, length: reference.length })
    this.#recentBytes += reference.length
    fetched.catch(() => this.#forget(key))
    for (const oldest of this.#recent.keys()) {
      if (this.#recentBytes <= MOST_RECENT_BYTES || oldest === key) break
      this.#forget(oldest)
    }
    return fetched
  }

  #forget(key: string): void {
    this.#recentBytes -= this.#recent.get(key)?.length ?? 0
    this.#recent.delete(key)
  }

  async #read(key: string, { kind, length, crc32: sum }: Reference): Promise<Value> {
    const bytes = Buffer.allocUnsafe(length)
    let at = 0
    for (let page = 0; at < length; page++) {
      const part = await this.#space.blobs.get(key, page)
      if (part === undefined)
        throw new TaskError(
          'TASKS_NOT_FOUND',
          `page ${page} of the blob "${key}" is not there: its retention has ended, or it was dropped`,
        )
      if (part.length === 0)
        throw new TaskError('TASKS_UNDECODABLE', `the blob "${key}" is damaged: page ${page} is empty`)
      bytes.set(part.subarray(0, length - at), at)
      at += part.length
    }
    if (crc32(bytes) !== sum)
      throw new TaskError('TASKS_UNDECODABLE', `the blob "${key}" is damaged: its checksum differs`)
    return { kind, bytes }
  }

  /** Collects bytes that come in pieces: inline while they are few, paged into a blob as soon as they are not. */
  sink(prefix: string): LargeValueSink {
    return new LargeValueSink(this.#space, prefix, this.name(), this.limits)
  }
}

class LargeValueSink {
  readonly #space: Space
  readonly #key: string
  readonly #name: string
  readonly #limits: Limits
  #parts: Bytes[] = []
  #held = 0
  #length = 0
  #crc = 0
  #pages = 0

  constructor(space: Space, prefix: string, name: string, limits: Limits) {
    this.#space = space
    this.#key = prefix + name
    this.#name = name
    this.#limits = limits
  }

  async write(bytes: Bytes): Promise<void> {
    if (bytes.length === 0) return
    this.#parts.push(bytes)
    this.#held += bytes.length
    this.#length += bytes.length
    this.#crc = crc32(bytes, this.#crc)
    checkSize(this.#length, 'the result of a group')
    if (this.#held > this.#limits.inlineBytes && this.#held >= this.#limits.pageBytes) await this.#flush(false)
  }

  async end(kind: Kind): Promise<Value> {
    if (this.#pages === 0 && this.#length <= this.#limits.inlineBytes)
      return { kind, bytes: Buffer.concat(this.#parts) }
    await this.#flush(true)
    return encodeReference({ name: this.#name, kind, length: this.#length, crc32: this.#crc })
  }

  async discard(): Promise<void> {
    this.#parts = []
    if (this.#pages > 0) await this.#space.blobs.drop(this.#key)
  }

  /** Writes whole pages; the rest only at the end. */
  async #flush(last: boolean): Promise<void> {
    const { pageBytes } = this.#limits
    const bytes = Buffer.concat(this.#parts)
    let at = 0
    while (bytes.length - at >= pageBytes || (last && at < bytes.length)) {
      await this.#space.blobs.put(this.#key, this.#pages++, bytes.subarray(at, at + pageBytes))
      at += pageBytes
    }
    this.#parts = at < bytes.length ? [bytes.subarray(at)] : []
    this.#held = Math.max(0, bytes.length - at)
  }
}

const checkSize = (length: number, what: string): void => checkLength(what, length, MAX_VALUE_BYTES)
