// Large values: their pages are records of one topic, and where a page is stands in another, which every process that reads blobs has in memory. So nobody reads pages to find one.
import type { Blobs, Bytes } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { checkPage, SortedKeys } from '@tasks/core/adapter'
import type { Batch, KafkaDriver, LogRecord, NewRecord, Place } from './driver'
import { MAX_MESSAGE_BYTES } from './limits'
import { Log } from './log'
import { readKnown, recordAt } from './read-known'

export interface BlobsParts {
  readonly driver: KafkaDriver
  readonly clock: Clock
  readonly lifetime: Lifetime
  /** Topic of the pages, and of where they are. */
  readonly pages: string
  readonly index: Place
  readonly partitionOf: (key: string) => number
}

interface Blob {
  readonly at: number
  readonly pages: Map<number, StoredAt>
}

interface StoredAt extends Place {
  readonly offset: number
}

/** Records without values in one batch, of a drop. */
const MOST_DROPPED = 2_000

export function blobs({ driver, clock, lifetime, pages, index, partitionOf }: BlobsParts): Blobs {
  let known = new Index(pages)
  const log = new Log({
    driver,
    lifetime,
    place: index,
    onBegin: () => (known = new Index(pages)),
    onRecord: (record) => known.fold(record),
  })

  const store = async (batches: readonly Batch[]): Promise<readonly number[]> => {
    const stored = await driver.produce(batches)
    return stored.map((outcome) => {
      if (!outcome.ok) throw outcome.error
      return outcome.offset
    })
  }

  const pointTo = (name: Buffer, partition: number, offset: number): Promise<readonly number[]> =>
    store([{ ...index, records: [{ key: name, value: Buffer.from(JSON.stringify([partition, offset])) }] }])

  /**
   * A page that was compacted away where it was stored first. It was sent again while a broker stood still, which then stored both, and the later one is left: blobs are written once, so
   * they are the same. From now on it is known where that is.
   */
  const sought = async (name: Buffer, { topic, partition, offset }: StoredAt): Promise<Bytes | undefined> => {
    const place = { topic, partition }
    const { end } = await driver.range(place)
    let found: LogRecord | undefined
    for (let next = offset; next < end;) {
      const chunk = await readKnown({ driver, clock }, place, next, end)
      for (const record of chunk.records) if (record.key?.equals(name)) found = record
      if (chunk.next === next) break
      next = chunk.next
    }
    if (!found?.value) return undefined
    await pointTo(name, partition, found.offset)
    return Buffer.from(found.value)
  }

  return {
    async put(key, page, bytes) {
      lifetime.refuseIfOver()
      checkPage(key, page, bytes, MAX_MESSAGE_BYTES)
      const name = nameOf(key, page)
      const partition = partitionOf(`${key}#${page}`)
      const [offset] = await store([{ topic: pages, partition, records: [{ key: name, value: Buffer.from(bytes) }] }])
      await pointTo(name, partition, offset!)
    },

    async get(key, page) {
      lifetime.refuseIfOver()
      let place = known.find(key, page)
      if (place === undefined) {
        await log.sync()
        place = known.find(key, page)
      }
      if (place === undefined) return undefined
      const { offset } = place
      const value = (await recordAt({ driver, clock }, place, offset))?.value
      return value ? Buffer.from(value) : sought(nameOf(key, page), place)
    },

    async drop(prefix) {
      lifetime.refuseIfOver()
      await log.sync()
      const gone = known.namesOf(prefix)
      for (let from = 0; from < gone.length; from += MOST_DROPPED) {
        const some = gone.slice(from, from + MOST_DROPPED)
        const byPartition = new Map<number, NewRecord[]>()
        for (const { name, partition } of some) {
          const records = byPartition.get(partition) ?? []
          byPartition.set(partition, records)
          records.push({ key: name, value: null })
        }
        // First it is not found any more.
        const [offset] = await store([{ ...index, records: some.map(({ name }) => ({ key: name, value: null })) }])
        await store([...byPartition].map(([partition, records]) => ({ topic: pages, partition, records })))
        await log.until(offset! + some.length)
      }
    },

    async list({ after, limit }) {
      lifetime.refuseIfOver()
      await log.sync()
      return known.list(after, limit)
    },
  }
}

class Index {
  readonly #topic: string
  readonly #blobs = new Map<string, Blob>()
  readonly #order = new SortedKeys(this.#blobs)

  constructor(topic: string) {
    this.#topic = topic
  }

  fold({ key: name, value, time }: LogRecord): void {
    if (name === null) return
    const { key, page } = parseName(name)
    let blob = this.#blobs.get(key)
    if (value === null) {
      blob?.pages.delete(page)
      if (blob?.pages.size !== 0) return
      this.#blobs.delete(key)
      this.#order.removed(key)
      return
    }
    if (blob === undefined) {
      this.#blobs.set(key, (blob = { at: time, pages: new Map() }))
      this.#order.added(key)
    }
    const [partition, offset] = JSON.parse(value.toString()) as [number, number]
    blob.pages.set(page, { topic: this.#topic, partition, offset })
  }

  find(key: string, page: number): StoredAt | undefined {
    return this.#blobs.get(key)?.pages.get(page)
  }

  namesOf(prefix: string): { readonly name: Buffer; readonly partition: number }[] {
    return this.#order.list(prefix, undefined, Infinity).flatMap((key) => {
      const { pages } = this.#blobs.get(key)!
      return [...pages].map(([page, { partition }]) => ({ name: nameOf(key, page), partition }))
    })
  }

  list(after: string | undefined, limit: number): { readonly key: string; readonly at: number }[] {
    return this.#order.list('', after, limit).map((key) => ({ key, at: this.#blobs.get(key)!.at }))
  }
}

/** The key of the records of a page. */
function nameOf(key: string, page: number): Buffer {
  return Buffer.from(`${page}/${key}`)
}

function parseName(name: Buffer): { readonly key: string; readonly page: number } {
  const text = name.toString()
  const end = text.indexOf('/')
  return { key: text.slice(end + 1), page: Number(text.slice(0, end)) }
}
