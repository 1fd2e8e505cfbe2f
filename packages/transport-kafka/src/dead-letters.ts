// Dead letters: a compacted topic, in which a letter is gone when its key has a record without a value. A letter is known by its offset, so that ids are in the order of arrival.
import type { DeadLetter, DeadLetters, Send } from '@tasks/core'
import type { Lifetime } from '@tasks/core/adapter'
import type { KafkaDriver, LogRecord, Place } from './driver'
import { decodeLetter } from './letter'
import { Log } from './log'
import type { Outbox } from './outbox'

export interface DeadLettersParts {
  readonly driver: KafkaDriver
  readonly lifetime: Lifetime
  readonly place: Place
  readonly outbox: Outbox
  /** Throws if one of the sends may not be made. */
  readonly check: (sends: readonly Send[]) => void
}

const ID = /^\d+$/
/** Removals of which it is known whether there was something to remove. */
const MOST_REMOVALS = 1_000

export function deadLetters({ driver, lifetime, place, outbox, check }: DeadLettersParts): DeadLetters {
  let letters = new Letters()
  const log = new Log({
    driver,
    lifetime,
    place,
    onBegin: () => (letters = new Letters()),
    onRecord: (record) => letters.fold(record),
  })

  const read = async (offsets: readonly number[]): Promise<readonly DeadLetter[]> => {
    const found = new Map<number, LogRecord>()
    const result: DeadLetter[] = []
    for (const offset of offsets) {
      if (!found.has(offset))
        for (const record of (await driver.read(place, offset)).records) found.set(record.offset, record)
      const record = found.get(offset)
      // Removed and compacted meanwhile.
      if (record?.value) result.push({ id: String(offset), at: record.time, ...decodeLetter(record.value) })
    }
    return result
  }

  const remove = async (id: string): Promise<boolean> => {
    const key = letters.keyOf(id)
    if (key === undefined) return false
    const [stored] = await driver.produce([{ ...place, records: [{ key: Buffer.from(key), value: null }] }])
    if (!stored!.ok) throw stored!.error
    await log.until(stored!.offset + 1)
    return letters.hasRemoved(stored!.offset)
  }

  const known = async (): Promise<void> => {
    lifetime.refuseIfOver()
    await log.sync()
  }

  return {
    async list({ after, limit }) {
      await known()
      if (limit <= 0 || (after !== undefined && !ID.test(after))) return []
      return read(letters.list(after === undefined ? -1 : Number(after), limit))
    },
    async get(id) {
      await known()
      return letters.keyOf(id) === undefined ? undefined : (await read([Number(id)]))[0]
    },
    async redrive(id, send) {
      check([send])
      await known()
      if (letters.keyOf(id) === undefined) return false
      const [outcome] = await outbox.send([send])
      if (!outcome!.ok) throw outcome!.error
      return remove(id)
    },
    async drop(id) {
      await known()
      return remove(id)
    },
  }
}

/** Which letters there are. */
class Letters {
  readonly #keys = new Map<number, string>()
  readonly #offsets = new Map<string, number>()
  readonly #removals = new Map<number, boolean>()

  fold({ offset, key, value }: LogRecord): void {
    if (key === null) return
    const name = key.toString()
    const before = this.#offsets.get(name)
    if (value === null) {
      this.#removals.set(offset, before !== undefined)
      if (this.#removals.size > MOST_REMOVALS) this.#removals.delete(this.#removals.keys().next().value!)
      if (before !== undefined) this.#keys.delete(before)
      this.#offsets.delete(name)
      return
    }
    // Made twice, it is where compaction leaves it.
    if (before !== undefined) this.#keys.delete(before)
    this.#keys.set(offset, name)
    this.#offsets.set(name, offset)
  }

  keyOf(id: string): string | undefined {
    return ID.test(id) ? this.#keys.get(Number(id)) : undefined
  }

  hasRemoved(offset: number): boolean {
    return this.#removals.get(offset) === true
  }

  list(after: number, limit: number): number[] {
    const found: number[] = []
    for (const offset of this.#keys.keys()) {
      if (found.length === limit) break
      if (offset > after) found.push(offset)
    }
    return found
  }
}
