// Rows by entity: an entity's keys are sorted when a scan asks for them.
import type { Bytes, RowKey } from '../transport'
import { LASTING, PASSING, Slab } from './slab'
import { entityOf } from '../adapter/key-order'
import { SortedKeys } from '../adapter/sorted-keys'

interface Entity {
  readonly rows: Map<RowKey, Bytes>
  readonly order: SortedKeys
}

/** The committed rows of one partition. Values are copied on their way in and out. */
export class Rows {
  readonly #entities = new Map<string, Entity>()

  load(keys: readonly RowKey[]): (Bytes | undefined)[] {
    return copies(keys.map((key) => this.#entities.get(entityOf(key))?.rows.get(key)))
  }

  has(key: RowKey): boolean {
    return this.#entities.get(entityOf(key))?.rows.has(key) === true
  }

  /** `null` deletes. */
  write(changes: ReadonlyMap<RowKey, Bytes | null>): void {
    let total = 0
    for (const value of changes.values()) total += value?.byteLength ?? 0
    const slab = new Slab(total, LASTING)
    for (const [key, value] of changes) {
      if (value === null) this.#delete(key)
      else this.#put(key, slab.copy(value))
    }
  }

  scan(prefix: string, after: RowKey | undefined, limit: number): (readonly [RowKey, Bytes])[] {
    const entity = this.#entities.get(entityOf(prefix))
    if (entity === undefined) return []
    const keys = entity.order.list(prefix, after, limit)
    const values = copies(keys.map((key) => entity.rows.get(key)!))
    return keys.map((key, i) => [key, values[i]!])
  }

  /** Every key, of all entities: for who looks at the store itself. No promise needs it. */
  keys(): RowKey[] {
    return [...this.#entities.values()].flatMap(({ rows }) => [...rows.keys()])
  }

  #put(key: RowKey, value: Bytes): void {
    const name = entityOf(key)
    let entity = this.#entities.get(name)
    if (entity === undefined) {
      const rows = new Map<RowKey, Bytes>()
      entity = { rows, order: new SortedKeys(rows) }
      this.#entities.set(name, entity)
    }
    const before = entity.rows.size
    entity.rows.set(key, value)
    if (entity.rows.size !== before) entity.order.added(key)
  }

  #delete(key: RowKey): void {
    const name = entityOf(key)
    const entity = this.#entities.get(name)
    if (entity === undefined || !entity.rows.delete(key)) return
    if (entity.rows.size === 0) this.#entities.delete(name)
    else entity.order.removed(key)
  }
}

function copies<T extends Bytes | undefined>(values: readonly T[]): T[] {
  let total = 0
  for (const value of values) total += value?.byteLength ?? 0
  const slab = new Slab(total, PASSING)
  return values.map((value) => (value === undefined ? value : (slab.copy(value) as T)))
}
