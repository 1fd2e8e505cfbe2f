// The rows of a partition as its owner has them: every key in memory, and the values that were used lately, within a budget. The others are read again from the changelog, by their offset:
// compaction moves no record.
import type { Bytes, RowKey } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { entityOf, SortedKeys } from '@tasks/core/adapter'
import type { KafkaDriver, Place } from './driver'
import { unavailable } from './failure'
import { recordAt } from './read-known'

export interface RowsOptions {
  readonly driver: Pick<KafkaDriver, 'read'>
  readonly clock: Clock
  readonly changelog: Place
  /** Bytes of values that are kept in memory. */
  readonly budget: number
}

interface Row {
  /** Of its last record in the changelog. */
  offset: number
  /** Absent: to be read. */
  value: Buffer | undefined
}

interface Entity {
  readonly rows: Map<RowKey, Row>
  /** Once somebody has asked for it: of most nobody does. */
  order: SortedKeys | undefined
}

/** What a value takes that is kept, beside its bytes. */
const OF_A_VALUE = 150

export class Rows {
  readonly #options: RowsOptions
  readonly #entities = new Map<string, Entity>()
  /** In the order of their last use. */
  readonly #used = new Set<Row>()
  /** Goes along it, and has forgotten all that it has passed. A new one would go over the holes of what was removed each time: hundreds of thousands. */
  #oldest = this.#used.values()
  #bytes = 0

  constructor(options: RowsOptions) {
    this.#options = options
  }

  /** The value is kept as it is: it is to be nobody else's. */
  set(key: RowKey, value: Buffer | null, offset: number): void {
    const name = entityOf(key)
    let entity = this.#entities.get(name)
    const known = entity?.rows.get(key)
    if (known !== undefined) this.#forget(known)
    if (value === null) {
      if (known === undefined) return
      entity!.rows.delete(key)
      entity!.order?.removed(key)
      if (entity!.rows.size === 0) this.#entities.delete(name)
      return
    }
    if (entity === undefined) {
      entity = { rows: new Map(), order: undefined }
      this.#entities.set(name, entity)
    }
    const row: Row = { offset, value: undefined }
    entity.rows.set(key, row)
    if (known === undefined) entity.order?.added(key)
    this.#keep(row, value)
  }

  load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]> {
    return Promise.all(
      keys.map(async (key) => {
        const row = this.#entities.get(entityOf(key))?.rows.get(key)
        return row === undefined ? undefined : this.#valueOf(row)
      }),
    )
  }

  scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]> {
    const entity = this.#entities.get(entityOf(prefix))
    if (entity === undefined || limit <= 0) return Promise.resolve([])
    entity.order ??= new SortedKeys(entity.rows)
    const keys = entity.order.list(prefix, after, limit)
    return Promise.all(keys.map(async (key) => [key, await this.#valueOf(entity.rows.get(key)!)] as const))
  }

  /** A copy: what a caller does to it must not change the row. */
  async #valueOf(row: Row): Promise<Bytes> {
    if (row.value !== undefined) {
      this.#used.delete(row)
      this.#used.add(row)
      return Buffer.from(row.value)
    }
    const { changelog } = this.#options
    const { offset } = row
    const value = (await recordAt(this.#options, changelog, offset))?.value
    if (!value)
      throw unavailable(`reading ${changelog.topic}/${changelog.partition}`, `there is no row at ${offset}`, 'no')
    this.#keep(row, Buffer.from(value))
    return Buffer.from(value)
  }

  #keep(row: Row, value: Buffer): void {
    this.#forget(row)
    row.value = value
    this.#bytes += value.length + OF_A_VALUE
    while (this.#bytes > this.#options.budget && this.#used.size > 0) this.#forgetOldest()
    this.#used.add(row)
  }

  #forgetOldest(): void {
    let oldest = this.#oldest.next()
    if (oldest.done) {
      this.#oldest = this.#used.values()
      oldest = this.#oldest.next()
    }
    if (!oldest.done) this.#forget(oldest.value)
  }

  #forget(row: Row): void {
    if (!this.#used.delete(row)) return
    this.#bytes -= row.value!.length + OF_A_VALUE
    row.value = undefined
  }
}
