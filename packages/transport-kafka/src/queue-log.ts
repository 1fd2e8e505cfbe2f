// One log of tasks as a process sees it: the state that its records amount to, who of this process wants something of it, and the bodies of what they are given.
//
// What is done is let go of, now and then, by whoever reads the log; before that it writes a picture of the state.
import type { Clock, Lifetime } from '@tasks/core/adapter'
import type { KafkaDriver, LogRecord, Place } from './driver'
import type { Framed } from './frame'
import { Log } from './log'
import type { QueueRecord, Saying } from './queue-record'
import { decodeQueueRecord, encodeQueueRecord } from './queue-record'
import type { Grant, GrantedTask } from './queue-state'
import { QueueState } from './queue-state'
import { UntilPicture } from './until-picture'

/** A consumer of this process. Its wants begin with its name and a dot. */
export interface Claimant {
  onGrant(log: QueueLog, grant: Grant): void
  onMiss(name: string): void
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
  #began: Promise<void> | undefined
  readonly #cache = new Map<number, Buffer>()
  #cached = 0
  /** The record that was looked into last: thousands of tasks may be in it, which are handed out a part at a time. */
  #open: { readonly offset: number; readonly tasks: readonly Framed[] } | undefined
  #sayings: Saying[] = []
  #saying: Promise<void> | undefined
  /** The broker's clock less ours, as of the last record. */
  #ahead = 0
  #truncatedAt: number
  #truncating = false

  constructor(options: QueueLogOptions) {
    this.#options = options
    this.place = options.place
    this.#truncatedAt = options.clock.monotonic()
    this.#log = new Log({
      ...options,
      onRecord: (record, isFirst) => this.#fold(record, isFirst),
      onChunk: () => this.#afterChunk(),
    })
  }

  started(): Promise<void> {
    this.#began ??= this.#log.started().then(() => this.#untilPicture.end())
    this.#began.catch(() => (this.#began = undefined))
    return this.#began
  }

  /** The broker's clock, as far as is known. */
  get now(): number {
    return Math.max(this.#options.clock.now() + this.#ahead, this.#state.time)
  }

  best(queues: readonly string[], suspects: boolean): number | undefined {
    return this.#state.best(queues, suspects, this.now)
  }

  /** In how many ms something of these queues is due. */
  dueIn(queues: readonly string[], suspects: boolean): number {
    return this.#state.nextDue(queues, suspects) - this.now
  }

  isHeldBy(offset: number, index: number, grant: string): boolean {
    return this.#state.isHeldBy(offset, index, grant)
  }

  /** How long ago the oldest task of a queue was sent that nobody holds. */
  async age(queue: string): Promise<number | undefined> {
    await this.started()
    await this.#log.sync()
    const at = this.#state.oldest(queue, this.now)
    return at === undefined ? undefined : Math.max(0, this.now - at)
  }

  /** Resolves when it is stored. What is said in one turn of the event loop is one record. */
  async say(...sayings: readonly Saying[]): Promise<void> {
    this.#sayings.push(...sayings)
    this.#saying ??= Promise.resolve().then(() => {
      const said = this.#sayings
      this.#sayings = []
      this.#saying = undefined
      return this.#append(said)
    })
    await this.#saying
  }

  async bodiesOf(tasks: readonly GrantedTask[]): Promise<readonly Framed[]> {
    const records = new Map<number, Promise<readonly Framed[]>>()
    for (const { offset } of tasks) if (!records.has(offset)) records.set(offset, this.#tasksAt(offset))
    return Promise.all(tasks.map(async ({ offset, index }) => (await records.get(offset)!)[index]!))
  }

  stop(): void {
    this.#log.stop()
  }

  async #append(sayings: readonly Saying[]): Promise<void> {
    const { driver } = this.#options
    const value = encodeQueueRecord({ sayings, tasks: [] })
    const [stored] = await driver.produce([{ ...this.place, records: [{ key: null, value }] }])
    if (!stored!.ok) throw stored!.error
  }

  #fold({ offset, time, value }: LogRecord, isFirst: boolean): void {
    if (value === null) return
    const record = decodeQueueRecord(value)
    if (record.tasks.length > 0) this.#remember(offset, value)
    this.#ahead = time - this.#options.clock.now()
    if (isFirst && this.#log.start > 0) this.#untilPicture.begin()
    const picture = record.sayings.find((saying) => saying.op === 'picture')
    this.#untilPicture.take(
      { offset, time, record },
      picture && { upTo: picture.upTo, restore: () => (this.#state = QueueState.of(picture.picture)) },
    )
  }

  #apply({ offset, time, record }: Entry): void {
    const { grants, missed } = this.#state.fold(offset, time, record)
    for (const grant of grants) this.claimants.get(claimantOf(grant.name))?.onGrant(this, grant)
    for (const name of missed) this.claimants.get(claimantOf(name))?.onMiss(name)
  }

  #afterChunk(): void {
    for (const claimant of this.claimants.values()) claimant.onNews()
    void this.#truncate()
  }

  async #tasksAt(offset: number): Promise<readonly Framed[]> {
    if (this.#open?.offset === offset) return this.#open.tasks
    let value = this.#cache.get(offset)
    if (value === undefined) {
      const { records } = await this.#options.driver.read(this.place, offset)
      // What lies behind it was probably given as well.
      for (const record of records) if (record.value !== null) this.#remember(record.offset, record.value)
      value = records.find((record) => record.offset === offset)!.value!
    }
    const { tasks } = decodeQueueRecord(value)
    this.#open = { offset, tasks }
    return tasks
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
    const picture: Saying = { op: 'picture', upTo: this.#log.next - 1, picture: this.#state.picture() }
    if (JSON.stringify(picture).length > MOST_PICTURE_BYTES) return
    this.#truncating = true
    try {
      await this.#append([picture])
      await driver.truncate(this.place, floor)
    } catch {
      // Without the right to delete the log only grows.
    } finally {
      this.#truncating = false
      this.#truncatedAt = clock.monotonic()
    }
  }
}

export function claimantOf(want: string): string {
  return want.slice(0, want.indexOf('.'))
}
