// A log that is read from its start, record by record, and goes on being read.
import type { Lifetime } from '@tasks/core/adapter'
import type { KafkaDriver, LogRecord, Place } from './driver'

export interface LogOptions {
  readonly driver: KafkaDriver
  readonly lifetime: Lifetime
  readonly place: Place
  /** `isFirst`: nothing was read before it. */
  readonly onRecord: (record: LogRecord, isFirst: boolean) => void
  /** After the records of one answer. */
  readonly onChunk?: () => void
}

interface Waiter {
  readonly next: number
  readonly wake: () => void
}

/** For as long as something may take that takes milliseconds. */
const PATIENCE_MS = 30_000

export class Log {
  readonly place: Place
  readonly #options: LogOptions
  readonly #waiters = new Set<Waiter>()
  #isFresh = true
  #next = 0
  #start = 0
  #started: Promise<void> | undefined
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

  /** Reads what there is, once; then goes on. */
  started(): Promise<void> {
    this.#started ??= this.#begin()
    this.#started.catch(() => (this.#started = undefined))
    return this.#started
  }

  /** Resolves when everything has been read that there is now. */
  async sync(): Promise<void> {
    await this.started()
    const { end } = await this.#options.driver.range(this.place)
    await this.until(end)
  }

  /** Resolves when everything before an offset has been read. False if that takes too long. */
  async until(next: number, signals: readonly (AbortSignal | undefined)[] = [], ms = PATIENCE_MS): Promise<boolean> {
    if (this.#next >= next) return true
    return this.#options.lifetime.wait(ms, signals, (wake) => {
      const waiter = { next, wake }
      this.#waiters.add(waiter)
      return () => this.#waiters.delete(waiter)
    })
  }

  stop(): void {
    this.#stop()
  }

  async #begin(): Promise<void> {
    const { driver, lifetime } = this.#options
    const range = await driver.range(this.place)
    lifetime.refuseIfOver()
    this.#next = this.#start = range.start
    this.#stop = driver.follow(this.place, range.start, ({ records, next, range: { start } }) => {
      const { onRecord, onChunk } = this.#options
      this.#start = start
      for (const record of records) {
        onRecord(record, this.#isFresh)
        this.#isFresh = false
      }
      this.#next = next
      onChunk?.()
      for (const waiter of this.#waiters) if (waiter.next <= next) waiter.wake()
    })
    await this.until(range.end)
  }
}
