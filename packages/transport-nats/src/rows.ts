// The rows of an owned partition: every key in memory, and the values that were used last, within a budget. The others are read again from the journal, which has all that is alive.
// Each row knows which record has it, and all are linked in that order: the oldest are carried forward with later commits, so that what a restore has to read is never much more than what is
// alive. Values come, stay and go together with those of the same record.
import type { Bytes, RowKey } from '@tasks/core'
import { entityOf, SortedKeys } from '@tasks/core/adapter'
import { decodeRows } from './record'

/** Where a record is in the journal. */
export interface Place {
  /** The sequence of its first message. */
  readonly at: number
  /** Those of all of them, if it is too large for one. */
  readonly parts?: readonly number[]
}

/** What one record has brought. */
interface Batch {
  readonly place: Place
  /** The values of its rows, one behind the other; undefined: to be read again. */
  values: Buffer | undefined
  readonly bytes: number
  /** How many of its rows have been neither replaced nor deleted. */
  alive: number
  reading: Promise<Buffer> | undefined
}

interface Row {
  readonly key: RowKey
  /** Undefined: it was deleted. */
  batch: Batch | undefined
  /** Where its value begins. */
  from: number
  bytes: number
  older: Row | undefined
  newer: Row | undefined
}

interface Entity {
  readonly rows: Map<RowKey, Row>
  /** Once somebody has asked for it: of most nobody does. */
  order: SortedKeys | undefined
}

export interface RowsOptions {
  /** The content of a record. Rejects if it is gone. */
  readonly read: (place: Place) => Promise<Buffer>
  /** Bytes of values that are kept in memory. */
  readonly budget: number
}

/** What a row costs in a record, beside key and value. */
const ROW_BYTES = 6
/** What a batch whose values are kept takes, beside them. */
const OF_A_BATCH = 200
/** Records that are read again at a time: each may be large. */
const AT_ONCE = 4
/** The oldest are read before they are carried forward, so much at a time. */
const AHEAD_BYTES = 64 * 1024
/** Rows that are looked at for that in one turn: nearly all of them may be in memory. */
const MOST_LOOKED = 10_000
const MOST_AHEAD = 32

export class Rows {
  readonly #options: RowsOptions
  readonly #entities = new Map<string, Entity>()
  readonly #pages = new Pages()
  /** Whose values are here, in the order of their last use. */
  readonly #used = new Set<Batch>()
  #kept = 0
  #oldest: Row | undefined
  #newest: Row | undefined
  #bytes = 0
  /** What was read for the next commit stays until it has been carried, whatever is written meanwhile: a value above the budget would never be. */
  #ahead: ReadonlySet<Batch> = new Set()
  #isReadingAhead = false

  constructor(options: RowsOptions) {
    this.#options = options
  }

  /** About what all of them would take in the journal. */
  get bytes(): number {
    return this.#bytes
  }

  /** The sequence of the oldest message that still has a row; undefined if there are none. */
  get floor(): number | undefined {
    return this.#oldest?.batch?.place.at
  }

  load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]> {
    return this.#valuesOf(keys.map((key) => this.#entities.get(entityOf(key))?.rows.get(key)))
  }

  async scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]> {
    const entity = this.#entities.get(entityOf(prefix))
    if (entity === undefined) return []
    entity.order ??= new SortedKeys(entity.rows)
    const keys = entity.order.list(prefix, after, limit)
    const values = await this.#valuesOf(keys.map((key) => entity.rows.get(key)))
    // One that was deleted while others were read: a page that is too short would be taken for the last.
    if (values.includes(undefined)) return this.scan(prefix, after, limit)
    return keys.map((key, i) => [key, values[i]!])
  }

  /** What a record says of rows. */
  add(place: Place, rows: readonly (readonly [RowKey, Bytes | null])[]): void {
    let bytes = 0
    for (const [, value] of rows) bytes += value?.byteLength ?? 0
    const values = this.#pages.take(bytes)
    const batch: Batch = { place, values, bytes, alive: 0, reading: undefined }
    let from = 0
    for (const [key, value] of rows) {
      if (value === null) this.#delete(key)
      else {
        values.set(value, from)
        this.#put(key, batch, from, value.byteLength)
        from += value.byteLength
      }
    }
    if (batch.alive > 0) this.#keep(batch, values)
  }

  /** The oldest rows, of about `bytes` together, without those that are written anyway; none whose values are to be read first, which begins then. */
  oldest(bytes: number, without: ReadonlyMap<RowKey, unknown>): (readonly [RowKey, Bytes])[] {
    const found: (readonly [RowKey, Bytes])[] = []
    for (let row = this.#oldest; row !== undefined && bytes > 0; row = row.newer) {
      if (without.has(row.key)) continue
      const { values } = row.batch!
      if (values === undefined) {
        void this.#readAhead(row)
        break
      }
      found.push([row.key, values.subarray(row.from, row.from + row.bytes)])
      bytes -= ROW_BYTES + row.key.length + row.bytes
    }
    return found
  }

  // ---- Rows

  #put(key: RowKey, batch: Batch, from: number, bytes: number): void {
    const name = entityOf(key)
    let entity = this.#entities.get(name)
    if (entity === undefined) {
      entity = { rows: new Map(), order: undefined }
      this.#entities.set(name, entity)
    }
    let row = entity.rows.get(key)
    if (row === undefined) {
      row = { key, batch, from, bytes, older: undefined, newer: undefined }
      entity.rows.set(key, row)
      entity.order?.added(key)
    } else {
      this.#leave(row)
      row.batch = batch
      row.from = from
      row.bytes = bytes
    }
    batch.alive++
    this.#bytes += ROW_BYTES + key.length + bytes
    row.older = this.#newest
    row.newer = undefined
    if (this.#newest === undefined) this.#oldest = row
    else this.#newest.newer = row
    this.#newest = row
  }

  #delete(key: RowKey): void {
    const name = entityOf(key)
    const entity = this.#entities.get(name)
    const row = entity?.rows.get(key)
    if (entity === undefined || row === undefined) return
    this.#leave(row)
    row.batch = undefined
    entity.rows.delete(key)
    if (entity.rows.size === 0) this.#entities.delete(name)
    else entity.order?.removed(key)
  }

  /** It is in its record no longer. */
  #leave(row: Row): void {
    if (row.older === undefined) this.#oldest = row.newer
    else row.older.newer = row.newer
    if (row.newer === undefined) this.#newest = row.older
    else row.newer.older = row.older
    this.#bytes -= ROW_BYTES + row.key.length + row.bytes
    const batch = row.batch!
    if (--batch.alive === 0) this.#forget(batch)
  }

  // ---- Values

  /** Copies: what a caller does to them must not change the rows. */
  async #valuesOf(rows: readonly (Row | undefined)[]): Promise<(Bytes | undefined)[]> {
    const values = rows.map((row) => row && this.#valueOf(row))
    const missing = new Map<Batch, number[]>()
    rows.forEach((row, i) => {
      if (row?.batch === undefined || values[i] !== undefined) return
      const places = missing.get(row.batch)
      if (places === undefined) missing.set(row.batch, [i])
      else places.push(i)
    })
    const batches = [...missing]
    while (batches.length > 0)
      await Promise.all(
        batches.splice(0, AT_ONCE).map(async ([batch, places]) => {
          const read = await this.#read(batch).catch((error: unknown) => {
            // What it had was replaced meanwhile, and it was purged.
            if (batch.alive > 0) throw error
            return undefined
          })
          for (const i of places) {
            const row = rows[i]!
            if (row.batch === batch && read !== undefined) values[i] = copyOf(read, row)
            else [values[i]] = await this.#valuesOf([row])
          }
        }),
      )
    return values
  }

  /** If it is here. */
  #valueOf(row: Row): Bytes | undefined {
    const { batch } = row
    if (batch?.values === undefined) return undefined
    this.#used.delete(batch)
    this.#used.add(batch)
    return copyOf(batch.values, row)
  }

  #read(batch: Batch): Promise<Buffer> {
    batch.reading ??= this.#options
      .read(batch.place)
      .then((content) => {
        const values = this.#pages.take(batch.bytes)
        let from = 0
        decodeRows(content, (_, value) => {
          if (value !== null) from += value.copy(values, from)
        })
        if (batch.alive > 0) this.#keep(batch, values)
        return values
      })
      .finally(() => (batch.reading = undefined))
    return batch.reading
  }

  async #readAhead(from: Row): Promise<void> {
    if (this.#isReadingAhead) return
    this.#isReadingAhead = true
    const batches = new Set<Batch>()
    let bytes = 0
    let looked = 0
    for (let row: Row | undefined = from; row !== undefined && looked < MOST_LOOKED; row = row.newer, looked++) {
      const batch = row.batch!
      if (batch.values !== undefined || batches.has(batch)) continue
      if (batches.size > 0 && (batches.size === MOST_AHEAD || bytes + batch.bytes > AHEAD_BYTES)) break
      batches.add(batch)
      bytes += batch.bytes
    }
    this.#ahead = batches
    // Whatever went wrong: a later commit tries again.
    await Promise.allSettled([...batches].map((batch) => this.#read(batch)))
    this.#isReadingAhead = false
  }

  #keep(batch: Batch, values: Buffer): void {
    this.#forget(batch)
    batch.values = values
    this.#used.add(batch)
    this.#kept += batch.bytes + OF_A_BATCH
    for (const oldest of this.#used) {
      if (this.#kept <= this.#options.budget || oldest === batch) break
      if (!this.#ahead.has(oldest)) this.#forget(oldest)
    }
  }

  #forget(batch: Batch): void {
    batch.values = undefined
    if (this.#used.delete(batch)) this.#kept -= batch.bytes + OF_A_BATCH
  }
}

const PAGE_BYTES = 16 * 1024

/** Memory for values, with nothing else in it: those of small records share some. */
class Pages {
  #page = Buffer.alloc(0)
  #at = 0

  take(bytes: number): Buffer {
    if (bytes > PAGE_BYTES / 4) return Buffer.allocUnsafeSlow(bytes)
    if (this.#at + bytes > this.#page.length) {
      this.#page = Buffer.allocUnsafeSlow(PAGE_BYTES)
      this.#at = 0
    }
    return this.#page.subarray(this.#at, (this.#at += bytes))
  }
}

function copyOf(values: Buffer, { from, bytes }: Row): Bytes {
  return Buffer.from(values.subarray(from, from + bytes))
}
