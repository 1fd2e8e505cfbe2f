// The rows of an owned partition, in memory. Each knows which record of the journal has it, and all are linked in that order: the oldest are carried forward with
// later commits, so that what a restore has to read is never much more than what is alive. Values are parts of the records that brought them: what is kept alive by
// them is bounded in the same way.
import type { Bytes, RowKey } from '@tasks/core'
import { SortedKeys } from '@tasks/core/adapter'

interface Row {
  readonly key: RowKey
  readonly entity: string
  value: Bytes
  /** The sequence of the record's first message. */
  at: number
  older: Row | undefined
  newer: Row | undefined
}

interface Entity {
  readonly rows: Map<RowKey, Row>
  readonly order: SortedKeys
}

/** What a row costs in a record, beside key and value. */
const ROW_BYTES = 6

export class Rows {
  readonly #entities = new Map<string, Entity>()
  #oldest: Row | undefined
  #newest: Row | undefined
  #bytes = 0
  #count = 0

  /** About what all of them would take in the journal. */
  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#count
  }

  /** The sequence of the oldest message that still has a row; undefined if there are none. */
  get floor(): number | undefined {
    return this.#oldest?.at
  }

  load(keys: readonly RowKey[]): (Bytes | undefined)[] {
    return keys.map((key) => copyOf(this.#entities.get(entityOf(key))?.rows.get(key)?.value))
  }

  scan(prefix: string, after: RowKey | undefined, limit: number): (readonly [RowKey, Bytes])[] {
    const entity = this.#entities.get(entityOf(prefix))
    if (entity === undefined) return []
    return entity.order.list(prefix, after, limit).map((key) => [key, copyOf(entity.rows.get(key)!.value)!])
  }

  /** What the message at `at` says of a row. The value is kept as it is. */
  put(key: RowKey, value: Bytes | null, at: number): void {
    const name = entityOf(key)
    let entity = this.#entities.get(name)
    const known = entity?.rows.get(key)
    if (known !== undefined) {
      this.#unlink(known)
      this.#bytes -= known.value.byteLength
      if (value !== null) {
        known.value = value
        known.at = at
        this.#bytes += value.byteLength
        this.#link(known)
        return
      }
      this.#count--
      this.#bytes -= ROW_BYTES + key.length
      entity!.rows.delete(key)
      if (entity!.rows.size === 0) this.#entities.delete(name)
      else entity!.order.removed(key)
      return
    }
    if (value === null) return
    if (entity === undefined) {
      const rows = new Map<RowKey, Row>()
      entity = { rows, order: new SortedKeys(rows) }
      this.#entities.set(name, entity)
    }
    const row: Row = { key, entity: name, value, at, older: undefined, newer: undefined }
    entity.rows.set(key, row)
    entity.order.added(key)
    this.#count++
    this.#bytes += ROW_BYTES + key.length + value.byteLength
    this.#link(row)
  }

  /** The oldest rows, of about `bytes` together, without those that are written anyway. */
  oldest(bytes: number, without: ReadonlyMap<RowKey, unknown>): (readonly [RowKey, Bytes])[] {
    const found: (readonly [RowKey, Bytes])[] = []
    for (let row = this.#oldest; row !== undefined && bytes > 0; row = row.newer) {
      if (without.has(row.key)) continue
      found.push([row.key, row.value])
      bytes -= ROW_BYTES + row.key.length + row.value.byteLength
    }
    return found
  }

  #link(row: Row): void {
    row.older = this.#newest
    row.newer = undefined
    if (this.#newest === undefined) this.#oldest = row
    else this.#newest.newer = row
    this.#newest = row
  }

  #unlink(row: Row): void {
    if (row.older === undefined) this.#oldest = row.newer
    else row.older.newer = row.newer
    if (row.newer === undefined) this.#newest = row.older
    else row.newer.older = row.older
  }
}

function copyOf(value: Bytes | undefined): Bytes | undefined {
  return value === undefined ? undefined : Buffer.from(value)
}

function entityOf(key: RowKey): string {
  const slash = key.indexOf('/')
  return slash < 0 ? key : key.slice(0, slash)
}
