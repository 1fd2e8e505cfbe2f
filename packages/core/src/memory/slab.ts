// Copies of many small values in a few allocations: one of its own for each costs five times as much as copying it.
import type { Bytes } from '../transport'

/** For values that come and go together, as the messages of one call. */
export const PASSING = 64 * 1024
/** For values that stay: one that is left keeps no more than this alive. */
export const LASTING = 8 * 1024

export class Slab {
  readonly #chunkBytes: number
  #left: number
  #chunk: Uint8Array | undefined
  #at = 0

  /** @param total the bytes that will be copied */
  constructor(total: number, chunkBytes: number) {
    this.#left = total
    this.#chunkBytes = chunkBytes
  }

  copy(bytes: Bytes): Bytes {
    const length = bytes.byteLength
    if (length > this.#chunkBytes / 4) {
      this.#left -= length
      return new Uint8Array(bytes)
    }
    if (this.#chunk === undefined || this.#at + length > this.#chunk.length) {
      this.#chunk = new Uint8Array(Math.max(length, Math.min(this.#left, this.#chunkBytes)))
      this.#at = 0
    }
    const copy = new Uint8Array(this.#chunk.buffer, this.#at, length)
    copy.set(bytes)
    this.#at += length
    this.#left -= length
    return copy
  }
}
