import type { Bytes, RowKey } from '../transport'
import { SortedKeys } from './sorted-keys'

interface Entity {
  readonly rows: Map<RowKey, Bytes>
  readonly order: SortedKeys
}

/** The committed rows of one partition. Values are copied on their way in and out. */
export class Rows {
  readonly #entities = new Map<string, Entity>()

  get(key: RowKey): Bytes | undefined {
    return this.#entities.get(entityOf(key))?.rows.get(key)?.slice()
  }

  put(key: RowKey, value: Bytes): void {
    const name = entityOf(key)
    let entity = this.#entities.get(name)
    if (entity === undefined) {
      const rows = new Map<RowKey, Bytes>()
      entity = { rows, order: new SortedKeys(rows) }
      this.#entities.set(name, entity)
    }
    const before = entity.rows.size
    entity.rows.set(key, new Uint8Array(value))
    if (entity.rows.size !== before) entity.order.added(key)
  }

  delete(key: RowKey): void {
    const name = entityOf(key)
    const entity = this.#entities.get(name)
    if (entity === undefined || !entity.rows.delete(key)) return
    if (entity.rows.size === 0) this.#entities.delete(name)
    else entity.order.removed(key)
  }

  scan(prefix: string, after: RowKey | undefined, limit: number): (readonly [RowKey, Bytes])[] {
    const entity = this.#entities.get(entityOf(prefix))
    if (entity === undefined) return []
    return entity.order.list(prefix, after, limit).map((key) => [key, entity.rows.get(key)!.slice()])
  }
}

function entityOf(key: RowKey): string {
  const slash = key.indexOf('/')
  return slash < 0 ? key : key.slice(0, slash)
}
