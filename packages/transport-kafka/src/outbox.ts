// Sends, as records of the topics that they go to.
import type { Send, SendOutcome } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import type { Batch, KafkaDriver, NewRecord, Place } from './driver'
import { isCertain } from './failure'
import type { Framed } from './frame'
import { encodeFrames, frameBytes, inRecords } from './frame'
import { keyOfLetter, letterRecord } from './letter'
import { MAX_BATCH_BYTES, PRIORITIES } from './limits'
import { placeOfAddress } from './mailbox'
import { encodeQueueRecord, taskBytes } from './queue-record'
import { MOST_TASKS_OF_A_RECORD } from './queue-state'
import type { PartName, Topics } from './topics'

/** A batch, and which of the sends it holds. */
export interface Packed {
  readonly batch: Batch
  readonly sends: readonly number[]
}

const HEAD_BYTES = 64

export class Outbox {
  readonly #driver: KafkaDriver
  readonly #topics: Topics
  readonly #partitions: number

  constructor(driver: KafkaDriver, topics: Topics, partitions: number) {
    this.#driver = driver
    this.#topics = topics
    this.#partitions = partitions
  }

  /** Outside of transactions. For sends that were checked. */
  async send(sends: readonly Send[]): Promise<readonly SendOutcome[]> {
    const packed = this.pack(sends, 'alone')
    const stored = await this.#driver.produce(packed.map(({ batch }) => batch))
    // What goes nowhere is lost, as a reply may be.
    const outcomes: SendOutcome[] = sends.map(() => ({ ok: true }))
    packed.forEach((pack, i) => {
      const outcome = stored[i]!
      if (outcome.ok) return
      if (TaskError.is(outcome.error) && outcome.error.code === 'TASKS_CLOSED') throw outcome.error
      for (const index of pack.sends)
        outcomes[index] = { ok: false, certain: isCertain(outcome.error), error: outcome.error }
    })
    return outcomes
  }

  /** @param how what is in a transaction has topics of its own */
  pack(sends: readonly Send[], how: 'alone' | 'committed'): readonly Packed[] {
    const [tasks, events] = how === 'alone' ? (['tasks', 'notices'] as const) : (['dispatch', 'events'] as const)
    const ofTasks = new Map<number, { readonly index: number; readonly framed: Framed }[]>()
    const ofInboxes = new Map<number, { readonly index: number; readonly framed: Framed }[]>()
    const ofEvents = new Map<number, { readonly index: number; readonly framed: Framed }[]>()
    const letters: { readonly index: number; readonly record: NewRecord }[] = []
    const others: Packed[] = []
    sends.forEach(({ target, id, body }, index) => {
      switch (target.to) {
        case 'task': {
          const framed = { queue: target.queue, priority: levelOf(target.priority), id, body }
          append(ofTasks, this.partitionOf(target.queue), { index, framed })
          break
        }
        case 'inbox':
          append(ofInboxes, target.partition, { index, framed: { queue: '', priority: 0, id, body } })
          break
        case 'events':
          append(ofEvents, target.partition, { index, framed: { queue: '', priority: 0, id, body } })
          break
        case 'reply': {
          const place = placeOfAddress(target.address, this.#partitions)
          if (place === undefined) break
          const value = encodeFrames([{ queue: target.address, priority: 0, id: '', body }])
          others.push(this.#pack(this.#place('replies', place), [{ key: null, value }], [index]))
          break
        }
        case 'dead':
          letters.push({ index, record: letterRecord(keyOfLetter(id, target.letter, body), target.letter, body) })
          break
      }
    })
    const packed: Packed[] = []
    for (const [partition, items] of ofTasks) {
      // Those of one queue and priority lie together: they are one entry of the state.
      items.sort((a, b) => b.framed.priority - a.framed.priority || compare(a.framed.queue, b.framed.queue))
      const encode = (framed: readonly Framed[]): Buffer => encodeQueueRecord([], framed)
      packed.push(...this.#packItems(this.#place(tasks, partition), items, taskBytes, encode))
    }
    for (const [partition, items] of ofInboxes)
      packed.push(...this.#packItems(this.#place('inbox', partition), items, frameBytes, encodeFrames))
    for (const [partition, items] of ofEvents)
      packed.push(...this.#packItems(this.#place(events, partition), items, frameBytes, encodeFrames))
    for (const members of inRecords(letters, ({ record }) => recordSize(record), MAX_BATCH_BYTES, letters.length))
      packed.push(
        this.#pack(
          this.#place('dead', 0),
          members.map(({ record }) => record),
          members.map(({ index }) => index),
        ),
      )
    return [...packed, ...others]
  }

  partitionOf(queue: string): number {
    // FNV-1a.
    let hash = 0x811c9dc5
    for (const byte of Buffer.from(queue)) hash = Math.imul(hash ^ byte, 0x01000193)
    return (hash >>> 0) % this.#partitions
  }

  #packItems(
    place: Place,
    items: readonly { readonly index: number; readonly framed: Framed }[],
    bytesOf: (framed: Framed) => number,
    encode: (framed: readonly Framed[]) => Buffer,
  ): Packed[] {
    return inRecords(items, ({ framed }) => bytesOf(framed), MAX_BATCH_BYTES - HEAD_BYTES, MOST_TASKS_OF_A_RECORD).map(
      (members) =>
        this.#pack(
          place,
          [{ key: null, value: encode(members.map(({ framed }) => framed)) }],
          members.map(({ index }) => index),
        ),
    )
  }

  #pack(place: Place, records: readonly NewRecord[], sends: readonly number[]): Packed {
    return { batch: { ...place, records }, sends }
  }

  #place(part: PartName, partition: number): Place {
    return { topic: this.#topics.name(part), partition }
  }
}

function recordSize({ key, value }: NewRecord): number {
  return key!.length + value!.length + HEAD_BYTES
}

function levelOf(priority = 0): number {
  return Math.min(PRIORITIES - 1, Math.max(0, Math.trunc(priority)))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}
