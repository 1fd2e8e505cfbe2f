// The committed rows that an owner has in memory: what it has read, and what it has written. Bounded; eviction costs a read, never correctness.
import type { Blobs, Bytes, PartitionSession, RowKey } from '../transport'
import type { Draft, KnownRows } from './draft'
import { decodeRow } from './row-codec'
import type { Row } from './rows'

const MOST_ROWS = 40_000
/** Of rows, and pages, that are large: the others are bounded by their number. */
const MOST_BYTES = 32 << 20
const LARGE = 1_024

export class RowCache implements KnownRows {
  readonly #session: PartitionSession
  readonly #blobs: Blobs
  readonly #rows = new Map<RowKey, Row | null>()
  /** How long the large ones are. */
  readonly #large = new Map<RowKey, number>()
  #bytes = 0

  constructor(session: PartitionSession, blobs: Blobs) {
    this.#session = session
    this.#blobs = blobs
  }

  get(key: RowKey): Row | null | undefined {
    return this.#rows.get(key)
  }

  /** Loads what is not known yet. Returns undefined, without a turn of the event loop, if everything is. */
  load(keys: Iterable<RowKey>): Promise<void> | undefined {
    const rows: RowKey[] = []
    const pages: RowKey[] = []
    const asked = new Set<RowKey>()
    for (const key of keys) {
      if (this.#rows.has(key) || asked.has(key)) continue
      asked.add(key)
      if (key.startsWith('@')) pages.push(key)
      else rows.push(key)
    }
    return asked.size === 0 ? undefined : this.#fetch(rows, pages)
  }

  async #fetch(rows: readonly RowKey[], pages: readonly RowKey[]): Promise<void> {
    const [values, blobs] = await Promise.all([
      rows.length === 0 ? [] : this.#session.load(rows),
      Promise.all(
        pages.map((key) =>
          this.#blobs.get(key.slice(1, key.lastIndexOf('#')), Number(key.slice(key.lastIndexOf('#') + 1))),
        ),
      ),
    ])
    rows.forEach((key, index) => this.#remember(key, values[index]))
    pages.forEach((key, index) => this.#remember(key, blobs[index]))
  }

  #remember(key: RowKey, bytes: Bytes | undefined): void {
    // A commit was quicker than this read, or another read: what is here is newer.
    if (this.#rows.has(key)) return
    if (bytes === undefined) {
      // A page that is gone: whatever needs it fails by itself, and nothing else does.
      this.#rows.set(key, null)
      return
    }
    this.#rows.set(key, decodeRow(key, bytes))
    this.#weigh(key, bytes)
  }

  /** Takes over what a commit has changed, and stored as `encoded`; forgets the oldest rows if there are too many. Only between drafts. */
  apply(draft: Draft, encoded: ReadonlyMap<RowKey, Bytes | null>): void {
    const isHalfFull = this.#rows.size > MOST_ROWS >> 1 || this.#bytes > MOST_BYTES >> 1
    for (const [key, row] of draft.changed) {
      const kind = key[0]
      // Timers, windows and jobs have indexes of their own in the owner.
      if (kind === 'T' || kind === 'W' || kind === 'X') continue
      // Written again: youngest again, where that matters.
      if (isHalfFull) this.#rows.delete(key)
      this.#rows.set(key, row)
      this.#weigh(key, encoded.get(key))
    }
    if (this.#rows.size <= MOST_ROWS && this.#bytes <= MOST_BYTES) return
    for (const key of this.#rows.keys()) {
      if (this.#rows.size <= MOST_ROWS * 0.8 && this.#bytes <= MOST_BYTES * 0.8) break
      this.#rows.delete(key)
      this.#weigh(key, undefined)
    }
  }

  #weigh(key: RowKey, bytes: Bytes | null | undefined): void {
    if (this.#large.size > 0) {
      this.#bytes -= this.#large.get(key) ?? 0
      this.#large.delete(key)
    }
    if (bytes === null || bytes === undefined || bytes.length < LARGE) return
    this.#large.set(key, bytes.length)
    this.#bytes += bytes.length
  }
}
