// A log that is read from its start, record by record, and goes on being read.
//
// G1. What was read has no holes: where the next records do not follow the last, because somebody has cut the log beyond a reader that fell behind, or a broker has lost its end, everything is read
//     anew. Whoever knew half of it would decide otherwise than all others, for good.
// G2. A record that cannot be read is not passed over: those who wait are told, and it is tried again when somebody asks.
import type { Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { Chunk, KafkaDriver, LogRecord, Place } from './driver'
import { unavailable } from './failure'

export interface LogOptions {
  readonly driver: KafkaDriver
  readonly lifetime: Lifetime
  readonly place: Place
  /** All that was read before is void: what follows is read from here. */
  readonly onBegin: (start: number) => void
  readonly onRecord: (record: LogRecord) => void
  /** After the records of one answer, and when one of them cannot be read. */
  readonly onChunk?: () => void
  /** Everything has been read that there was. */
  readonly onCaughtUp?: () => void
}

interface Waiter {
  readonly next: number
  readonly wake: () => void
}

/** For as long something may take that takes milliseconds. */
const PATIENCE_MS = 30_000

export class Log {
  readonly place: Place
  readonly #options: LogOptions
  readonly #waiters = new Set<Waiter>()
  #next = 0
  #start = 0
  #started: Promise<void> | undefined
  #unreadable: Error | undefined
  #stop: () => void = () => {}

  constructor(options: LogOptions) {
    this.#options = options
    this.place = options.place
  }

  /** Where the log began when it was looked at last. */
  get start(): number {
    return this.#start
  }

  /** Behind the last record that was read. */
  get next(): number {
    return this.#next
  }

  /** Reads what there is, once; then goes on. However long that takes. */
  started(): Promise<void> {
    if (this.#started === undefined) {
      const started = this.#begin()
      this.#started = started
      started.catch(() => {
        if (this.#started === started) this.#started = undefined
      })
    }
    return this.#started
  }

  /** Resolves when everything has been read that there is now. */
  async sync(): Promise<void> {
    await this.started()
    const { end } = await this.#options.driver.range(this.place)
    await this.until(end)
  }

  /** Resolves when everything before an offset has been read. */
  async until(next: number): Promise<void> {
    const { topic, partition } = this.place
    if (!(await this.#reach(next)))
      throw unavailable(`${topic}/${partition}`, `it was not read to ${next} within ${PATIENCE_MS} ms`, 'unknown')
    await this.started()
  }

  stop(): void {
    this.#stop()
  }

  async #begin(): Promise<void> {
    const { driver, lifetime, place, onBegin, onCaughtUp } = this.#options
    this.#stop()
    let { start, end } = await driver.range(place)
    lifetime.refuseIfOver()
    this.#unreadable = undefined
    this.#next = this.#start = start
    onBegin(start)
    let stopped = false
    const stop = driver.follow(place, start, (chunk) => {
      if (!stopped) this.#take(chunk)
    })
    this.#stop = () => {
      stopped = true
      stop()
    }
    // Whoever has cut it has left something for us before that, and so before the end that there is now.
    if (start > 0) end = (await driver.range(place)).end
    while (!(await this.#reach(end))) continue
    // Meanwhile it was begun anew.
    if (stopped) return this.started()
    onCaughtUp?.()
  }

  #take({ from, records, next, range }: Chunk): void {
    const { onRecord, onChunk } = this.#options
    if (from !== this.#next) return this.#beginAnew()
    this.#start = range.start
    for (const record of records) {
      try {
        onRecord(record)
      } catch (error) {
        return this.#fail(this.#named(error, record.offset))
      }
      this.#next = record.offset + 1
    }
    this.#next = next
    onChunk?.()
    for (const waiter of this.#waiters) if (waiter.next <= next) waiter.wake()
  }

  #beginAnew(): void {
    this.#stop()
    this.#started = undefined
    // If that fails, it is tried again when somebody asks.
    this.started().catch(() => {})
  }

  #fail(unreadable: Error): void {
    this.#stop()
    this.#started = undefined
    this.#unreadable = unreadable
    this.#options.onChunk?.()
    for (const waiter of this.#waiters) waiter.wake()
  }

  /** False if that takes longer. */
  async #reach(next: number): Promise<boolean> {
    if (this.#next < next && this.#unreadable === undefined) {
      const reached = await this.#options.lifetime.wait(PATIENCE_MS, [], (wake) => {
        const waiter = { next, wake }
        this.#waiters.add(waiter)
        return () => this.#waiters.delete(waiter)
      })
      if (!reached) return false
    }
    if (this.#unreadable !== undefined) throw this.#unreadable
    return true
  }

  #named(error: unknown, offset: number): Error {
    const { topic, partition } = this.place
    const what = `record ${offset} of ${topic}/${partition} cannot be read`
    const code = TaskError.is(error) ? error.code : 'TASKS_STORE_FOREIGN'
    return new TaskError(code, `${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}
