// Committed rows, as questions are answered from them: by their owner beside its turns, or by a client where the transport lets anybody read.
import { TaskError } from '../errors'
import type { Blobs, Bytes, RowKey } from '../transport'
import { Draft, MissingRow, type KnownRows } from './draft'
import { decodeRow } from './row-codec'
import type { Row } from './rows'

export interface RowSource {
  load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]>
  scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]>
  readonly blobs: Pick<Blobs, 'get'>
}

/** A pipeline that changes while it is looked at may not fit together: then it is looked at once more. */
const TRIES = 3

/**
 * Calls `look` with a draft of the rows that it reads, which are loaded as it misses them. What it does to the draft is forgotten.
 * @throws TaskError TASKS_UNAVAILABLE if the rows have changed again and again in between
 */
export async function looking<T>(source: RowSource, look: (draft: Draft) => T): Promise<T> {
  for (let tries = 1; ; tries++) {
    const rows = new Snapshot(source)
    try {
      for (;;) {
        try {
          return look(new Draft(rows, 0, 0))
        } catch (error) {
          if (!(error instanceof MissingRow)) throw error
          await rows.load(error.keys)
        }
      }
    } catch (cause) {
      if (TaskError.is(cause) && cause.code !== 'TASKS_DEFINITION_INVALID') throw cause
      if (tries === TRIES)
        throw new TaskError('TASKS_UNAVAILABLE', 'the pipeline changed while it was read: ask again', { cause })
    }
  }
}

class Snapshot implements KnownRows {
  readonly #source: RowSource
  readonly #rows = new Map<RowKey, Row | null>()

  constructor(source: RowSource) {
    this.#source = source
  }

  get(key: RowKey): Row | null | undefined {
    return this.#rows.get(key)
  }

  async load(keys: readonly RowKey[]): Promise<void> {
    const wanted = [...new Set(keys)]
    const rows = wanted.filter((key) => !key.startsWith('@'))
    const pages = wanted.filter((key) => key.startsWith('@'))
    const values = rows.length === 0 ? [] : await this.#source.load(rows)
    rows.forEach((key, index) => this.#remember(key, values[index]))
    for (const key of pages) {
      const hash = key.lastIndexOf('#')
      this.#remember(key, await this.#source.blobs.get(key.slice(1, hash), Number(key.slice(hash + 1))))
    }
  }

  #remember(key: RowKey, bytes: Bytes | undefined): void {
    this.#rows.set(key, bytes === undefined ? null : decodeRow(key, bytes))
  }
}
