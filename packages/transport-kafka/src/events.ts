// The event logs of a namespace. A partition has two: of events of commits, and of events that are sent alone, which a stopped owner is not to hold up. So a position is a place in both.
//
// E1. Whoever reads on after a position sees everything of both that was not before it, and nothing that was.
// E2. What was sent alone before something was committed is told before it: whoever says what a worker did, and then commits what follows from it, is heard in that order.
// E3. What is followed is only that there is something: events are read when somebody asks, so that a reader of last week costs no memory.
import type { EventPage, Position, ReadEvents, StoredEvent } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { takeOrWait, TaskError } from '@tasks/core/adapter'
import type { Chunk, KafkaDriver, Place } from './driver'
import { decodeFrames } from './frame'
import type { Topics } from './topics'

export interface EventsOptions {
  readonly driver: KafkaDriver
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly topics: Topics
  readonly partitions: number
}

/** What is to be read next. */
interface Cursor {
  readonly offset: number
  readonly index: number
}

/** In the log of commits, and in that of what is sent alone. */
type Cursors = readonly [committed: Cursor, alone: Cursor]

/** For as long a commit may take, its events have the time at which they were written, and are not there yet. */
const COMMIT_MS = 10_000

export class Events {
  readonly #options: EventsOptions
  readonly #heads = new Map<string, Head>()
  readonly #listeners = new Set<() => void>()

  constructor(options: EventsOptions) {
    this.#options = options
  }

  async read({ after, max, waitMs, signal }: ReadEvents): Promise<readonly EventPage[]> {
    const { lifetime, clock } = this.#options
    lifetime.refuseIfOver()
    const take = async (): Promise<readonly EventPage[] | undefined> => {
      const pages: EventPage[] = []
      let left = max
      for (const [partition, position] of after) {
        if (left <= 0) break
        const page = await this.page(partition, position, left)
        if (page === undefined) continue
        pages.push(page)
        left -= page.events.length
      }
      return pages.length > 0 ? pages : undefined
    }
    const listen = (wake: () => void): (() => void) => this.listen(wake)
    return (await takeOrWait(lifetime, clock, take, { waitMs, signals: [signal], listen })) ?? []
  }

  async positions(since?: number): Promise<readonly Position[]> {
    const { driver, lifetime, partitions } = this.#options
    lifetime.refuseIfOver()
    return Promise.all(
      Array.from({ length: partitions }, async (_, partition) => {
        const [committed, alone] = this.#places(partition)
        const offsets =
          since === undefined
            ? await Promise.all([committed, alone].map(async (place) => (await driver.range(place)).end))
            : await Promise.all([
                driver.offsetAt(committed, Math.max(0, since - COMMIT_MS)),
                driver.offsetAt(alone, since),
              ])
        return positionOf([
          { offset: offsets[0]!, index: 0 },
          { offset: offsets[1]!, index: 0 },
        ])
      }),
    )
  }

  /** What follows a position in a partition, if there is anything. */
  async page(partition: number, after: Position | undefined, max: number): Promise<EventPage | undefined> {
    const heads = this.#places(partition).map((place) => this.#head(place))
    await Promise.all(heads.map((head) => head.started()))
    const cursors: [Cursor, Cursor] =
      after === undefined
        ? [
            { offset: heads[0]!.start, index: 0 },
            { offset: heads[1]!.start, index: 0 },
          ]
        : [...cursorsOf(after)]
    const events: StoredEvent[] = []
    let gap = false
    const take = (log: 0 | 1, chunk: Chunk): void => {
      const cursor = cursors[log]
      if (after !== undefined && chunk.range.start > cursor.offset) gap = true
      for (const { offset, value } of chunk.records) {
        const messages = value === null ? [] : decodeFrames(value)
        for (let index = offset === cursor.offset ? cursor.index : 0; index < messages.length; index++) {
          if (events.length === max) return
          cursors[log] = { offset, index: index + 1 }
          const { id, body } = messages[index]!
          // A copy: what a reader does to it must not change what another is given.
          events.push({ position: positionOf(cursors), id, body: Buffer.from(body) })
        }
      }
      cursors[log] = {
        offset: Math.max(chunk.next, cursor.offset),
        index: chunk.next > cursor.offset ? 0 : cursor.index,
      }
    }
    const [committed, alone] = heads as [Head, Head]
    const commits = await committed.read(cursors[0].offset)
    // Behind everything that was sent before these were committed.
    const upTo = commits === undefined ? undefined : await alone.endNow()
    for (let before = -1; cursors[1].offset > before && events.length < max;) {
      before = cursors[1].offset
      const chunk = await alone.read(before, upTo)
      if (chunk !== undefined) take(1, chunk)
    }
    if (commits !== undefined && events.length < max) take(0, commits)
    return events.length === 0 && !gap ? undefined : { partition, gap, events, position: positionOf(cursors) }
  }

  /** Calls back when there may be something new in what was read before. */
  listen(wake: () => void): () => void {
    this.#listeners.add(wake)
    return () => this.#listeners.delete(wake)
  }

  stop(): void {
    for (const head of this.#heads.values()) head.stop()
  }

  #head(place: Place): Head {
    const key = `${place.topic}/${place.partition}`
    let head = this.#heads.get(key)
    if (head === undefined) {
      head = new Head(this.#options.driver, place, () => {
        for (const wake of this.#listeners) wake()
      })
      this.#heads.set(key, head)
    }
    return head
  }

  #places(partition: number): readonly [Place, Place] {
    const { topics } = this.#options
    return [
      { topic: topics.name('events'), partition },
      { topic: topics.name('notices'), partition },
    ]
  }
}

/** The end of a log, and the last that came there. */
class Head {
  readonly #driver: KafkaDriver
  readonly #place: Place
  readonly #onNews: () => void
  #started: Promise<void> | undefined
  #stop: () => void = () => {}
  #start = 0
  #end = 0
  #last: Chunk | undefined
  /** Nothing but markers of transactions. */
  #blank = { from: 0, to: 0 }

  constructor(driver: KafkaDriver, place: Place, onNews: () => void) {
    this.#driver = driver
    this.#place = place
    this.#onNews = onNews
  }

  get start(): number {
    return this.#start
  }

  started(): Promise<void> {
    this.#started ??= this.#begin()
    this.#started.catch(() => (this.#started = undefined))
    return this.#started
  }

  /** The end as the broker knows it, and not only as far as was heard. */
  async endNow(): Promise<number> {
    return (await this.#driver.range(this.#place)).end
  }

  /** What follows an offset; undefined if there is nothing before the end. */
  async read(from: number, end = this.#end): Promise<Chunk | undefined> {
    if (from >= end || (from >= this.#blank.from && this.#blank.to >= end)) return undefined
    if (this.#last !== undefined && from >= this.#last.from && from < this.#last.next) {
      const records = this.#last.records.filter(({ offset }) => offset >= from)
      return { ...this.#last, records }
    }
    const chunk = await this.#driver.read(this.#place, from)
    this.#start = chunk.range.start
    if (chunk.records.length === 0) this.#blank = { from, to: chunk.next }
    return chunk
  }

  stop(): void {
    this.#stop()
  }

  async #begin(): Promise<void> {
    const { start, end } = await this.#driver.range(this.#place)
    this.#start = start
    this.#end = end
    this.#stop = this.#driver.follow(this.#place, end, (chunk) => {
      if (chunk.records.length > 0) this.#last = chunk
      this.#start = chunk.range.start
      this.#end = chunk.next
      this.#onNews()
    })
  }
}

function positionOf([committed, alone]: Cursors): Position {
  return `${committed.offset}.${committed.index}/${alone.offset}.${alone.index}`
}

function cursorsOf(position: Position): Cursors {
  const [, ...numbers] = /^(\d+)\.(\d+)\/(\d+)\.(\d+)$/.exec(position) ?? []
  if (numbers.length === 0) throw new TaskError('TASKS_ARGUMENTS', `"${position}" is no position of an event log`)
  const [a, b, c, d] = numbers.map(Number) as [number, number, number, number]
  return [
    { offset: a, index: b },
    { offset: c, index: d },
  ]
}
