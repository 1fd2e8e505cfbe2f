// One log of tasks as a process sees it: the state that its records amount to, who of this process wants something of it, and the bodies of what they are given.
//
// What is done is let go of, now and then, by whoever reads the log; before that it writes a picture of the state.
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { BrokerClock } from './broker-clock'
import type { KafkaDriver, LogRecord, Place } from './driver'
import { unavailable } from './failure'
import type { Framed } from './frame'
import { inRecords } from './frame'
import { MAX_BATCH_BYTES } from './limits'
import { Log } from './log'
import type { QueueRecord, Saying, Want } from './queue-record'
import { decodeQueueRecord, decodeTasks, encodeQueueRecord } from './queue-record'
import type { Grant, GrantedTasks } from './queue-state'
import { QueueState } from './queue-state'
import { readKnown } from './read-known'
import { UntilPicture } from './until-picture'

/** A consumer of this process. Its wants begin with its name and a dot. */
export interface Claimant {
  onGrant(log: QueueLog, grant: Grant): void
  onMiss(name: string): void
  /** What it wanted of this log may be forgotten. */
  onBegin(log: QueueLog): void
  /** Something was sent, or given back. */
  onNews(): void
}

export interface QueueLogOptions {
  readonly driver: KafkaDriver
  readonly lifetime: Lifetime
  readonly clock: Clock
  readonly place: Place
}

/** Records that were read lately, for those who are given what is in them. */
const CACHE_BYTES = 16 * 1024 * 1024
const TRUNCATE_EVERY_MS = 10_000
const TRUNCATE_RECORDS = 200
/** A larger picture waits until more is done. */
const MOST_PICTURE_BYTES = 512 * 1024
/** The rest is the batch's own. */
const MAX_RECORD_BYTES = MAX_BATCH_BYTES - 1024
const MAX_PART_BYTES = MAX_RECORD_BYTES / 2

interface Entry {
  readonly offset: number
  readonly time: number
  readonly record: QueueRecord
}

export class QueueLog {
  readonly claimants = new Map<string, Claimant>()
  readonly place: Place
  readonly #options: QueueLogOptions
  readonly #log: Log
  #state = new QueueState()
  readonly #untilPicture = new UntilPicture<Entry>((entry) => this.#apply(entry))
  readonly #brokerClock: BrokerClock
  /** Grants before it were told, or are of no use any more. */
  #told = 0
  readonly #cache = new Map<number, Buffer>()
  #cached = 0
  /** The record that was looked into last: thousands of tasks may be in it, which are handed out a part at a time. */
  #open: { readonly offset: number; readonly tasks: readonly Framed[] } | undefined
  #sayings: Saying[] = []
  #saying: Promise<number> | undefined
  #truncatedAt: number
  #truncating = false

  constructor(options: QueueLogOptions) {
    this.#options = options
    this.place = options.place
    this.#truncatedAt = options.clock.monotonic()
    this.#brokerClock = new BrokerClock(options.clock)
    this.#log = new Log({
      ...options,
      onBegin: (start) => this.#begin(start),
      onRecord: (record) => this.#fold(record),
      onChunk: () => this.#afterChunk(),
      onCaughtUp: () => this.#untilPicture.end(),
    })
  }

  started(): Promise<void> {
    return this.#log.started()
  }

  /** The broker's clock, as far as is known. */
  get now(): number {
    return this.#brokerClock.now
  }

  best(queues: readonly string[], suspects: boolean): number | undefined {
    return this.#state.best(queues, suspects, this.now)
  }

  /** In how many ms something of these queues is due. */
  dueIn(queues: readonly string[], suspects: boolean): number {
    return this.#state.nextDue(queues, suspects) - this.now
  }

  /** How much of its lease a grant has left of a task, in ms, at least; undefined if somebody else has it by now, or nobody. */
  leftOf(offset: number, index: number, grant: string): number | undefined {
    const until = this.#state.heldUntil(offset, index, grant)
    return until === undefined ? undefined : until - this.#brokerClock.latest
  }

  /** How long ago the oldest task of a queue was sent that nobody holds. */
  async age(queue: string): Promise<number | undefined> {
    await this.#log.sync()
    const at = this.#state.oldest(queue, this.now)
    return at === undefined ? undefined : Math.max(0, this.now - at)
  }

  /** Resolves when it is stored. What is said in one turn of the event loop is one record, if it fits. */
  async say(...sayings: readonly Saying[]): Promise<void> {
    await this.#store(sayings)
  }

  /** Says it, and resolves when it is known here what has become of it. */
  async tell(...sayings: readonly Saying[]): Promise<void> {
    await this.#log.until(await this.#store(sayings))
  }

  /** A want; a lease later it is void. */
  want(want: Omit<Want, 'saidAt'>): Promise<void> {
    // Of a log in which nothing was written lately the broker's clock is not known.
    const saidAt = Math.max(this.#options.clock.now(), this.#brokerClock.latest)
    return this.say({ op: 'want', want: { ...want, saidAt } })
  }

  /** Of each of these, in order. */
  async bodiesOf(granted: readonly GrantedTasks[]): Promise<readonly (readonly Framed[])[]> {
    const records = new Map<number, Promise<readonly Framed[]>>()
    for (const { offset } of granted) if (!records.has(offset)) records.set(offset, this.#tasksAt(offset))
    return Promise.all(granted.map(async ({ offset, from, to }) => (await records.get(offset)!).slice(from, to)))
  }

  stop(): void {
    this.#log.stop()
  }

  #store(sayings: readonly Saying[]): Promise<number> {
    this.#sayings.push(...sayings)
    this.#saying ??= Promise.resolve().then(() => {
      const said = this.#sayings
      this.#sayings = []
      this.#saying = undefined
      return this.#append(said)
    })
    return this.#saying
  }

  /** Answers the offset behind it. */
  async #append(sayings: readonly Saying[]): Promise<number> {
    const { driver } = this.#options
    const encode = (said: readonly Saying[]): Buffer => encodeQueueRecord(said, [])
    let values = [encode(sayings)]
    if (values[0]!.length > MAX_RECORD_BYTES)
      values = inRecords(sayings.flatMap(partsOf), sayingBytes, MAX_PART_BYTES, Infinity).map(encode)
    let next = 0
    for (const stored of await driver.produce(
      values.map((value) => ({ ...this.place, records: [{ key: null, value }] })),
    )) {
      if (!stored.ok) throw stored.error
      next = Math.max(next, stored.offset + 1)
    }
    return next
  }

  #begin(start: number): void {
    this.#state = new QueueState()
    this.#untilPicture.begin(start)
    // What a broker has lost may be another record by now.
    this.#cache.clear()
    this.#cached = 0
    this.#open = undefined
    for (const claimant of this.claimants.values()) claimant.onBegin(this)
  }

  #fold({ offset, time, value }: LogRecord): void {
    if (value === null) return
    const record = decodeQueueRecord(value)
    if (record.runs.length > 0) this.#remember(offset, value)
    this.#brokerClock.heard(time)
    const picture = record.sayings.find((saying) => saying.op === 'picture')
    this.#untilPicture.take(
      { offset, time, record },
      picture && { upTo: picture.upTo, restore: () => (this.#state = QueueState.of(picture.picture)) },
    )
  }

  #apply({ offset, time, record }: Entry): void {
    const { grants, missed } = this.#state.fold(offset, time, record)
    if (offset < this.#told) return
    this.#told = offset + 1
    for (const grant of grants) this.claimants.get(claimantOf(grant.name))?.onGrant(this, grant)
    for (const name of missed) this.claimants.get(claimantOf(name))?.onMiss(name)
  }

  #afterChunk(): void {
    for (const claimant of this.claimants.values()) claimant.onNews()
    void this.#truncate()
  }

  async #tasksAt(offset: number): Promise<readonly Framed[]> {
    if (this.#open?.offset === offset) return this.#open.tasks
    const tasks = decodeTasks(this.#cache.get(offset) ?? (await this.#valueAt(offset)))
    this.#open = { offset, tasks }
    return tasks
  }

  async #valueAt(offset: number): Promise<Buffer> {
    const { driver, clock, lifetime } = this.#options
    const reader = { driver, clock, signal: lifetime.signal }
    const { records } = await readKnown(reader, this.place, offset, offset + 1)
    // What lies behind it was probably given as well.
    for (const record of records) if (record.value !== null) this.#remember(record.offset, record.value)
    const value = records.find((record) => record.offset === offset)?.value
    if (value) return value
    throw unavailable(`${this.place.topic}/${this.place.partition}`, `there is no record ${offset}`, 'no')
  }

  #remember(offset: number, value: Buffer): void {
    if (this.#cache.has(offset)) return
    // A copy: it is a part of an answer of 16 MiB.
    this.#cache.set(offset, Buffer.from(value))
    this.#cached += value.length
    for (const [oldest, { length }] of this.#cache) {
      if (this.#cached <= CACHE_BYTES) break
      this.#cache.delete(oldest)
      this.#cached -= length
    }
  }

  /** That several do it is no harm. */
  async #truncate(): Promise<void> {
    const { clock, driver } = this.#options
    if (this.#truncating || this.#untilPicture.isWaiting) return
    if (clock.monotonic() - this.#truncatedAt < TRUNCATE_EVERY_MS * (0.5 + clock.random())) return
    const floor = this.#state.floor ?? this.#log.next
    if (floor - this.#log.start < TRUNCATE_RECORDS) return
    // Too large, it is not computed for each chunk.
    this.#truncatedAt = clock.monotonic()
    const picture: Saying = { op: 'picture', upTo: this.#log.next - 1, picture: this.#state.picture() }
    if (sayingBytes(picture) > MOST_PICTURE_BYTES) return
    this.#truncating = true
    try {
      // Behind an open transaction it cannot be read yet: whoever comes then must find it before the end.
      await this.#log.until(await this.#append([picture]))
      await driver.truncate(this.place, floor)
    } catch {
      // Without the right to delete the log only grows.
    } finally {
      this.#truncating = false
    }
  }
}

/** What is said of very many tasks does not fit into one record. */
function partsOf(saying: Saying): readonly Saying[] {
  if (saying.op !== 'done' && saying.op !== 'back' && saying.op !== 'keep') return [saying]
  return inRecords(saying.members, (members) => JSON.stringify(members).length, MAX_PART_BYTES, Infinity).map(
    (members) => ({ ...saying, members }),
  )
}

function sayingBytes(saying: Saying): number {
  return Buffer.byteLength(JSON.stringify(saying))
}

export function claimantOf(want: string): string {
  return want.slice(0, want.indexOf('.'))
}
