// The owners' log as a process sees it. All hosts of a space share it.
import type { Clock, Lifetime } from '@tasks/core/adapter'
import type { KafkaDriver, Place } from './driver'
import { Log } from './log'
import type { OwnersSaying } from './owners-state'
import { OwnersState } from './owners-state'

export interface OwnersLogOptions {
  readonly driver: KafkaDriver
  readonly lifetime: Lifetime
  readonly clock: Clock
  readonly place: Place
  readonly partitions: number
}

/** Hosts say everything anew with each heartbeat, so that what is older than a few of the longest lease is not needed by anybody. */
const KEPT_MS = 10 * 60 * 1000
const TRUNCATE_RECORDS = 500

export class OwnersLog {
  readonly state: OwnersState
  readonly #options: OwnersLogOptions
  readonly #log: Log
  readonly #listeners = new Set<() => void>()
  /** Some records and their times, oldest first. */
  #marks: { readonly offset: number; readonly time: number }[] = []
  #ahead = 0

  constructor(options: OwnersLogOptions) {
    this.#options = options
    this.state = new OwnersState(options.partitions)
    let news = false
    let isLate = false
    this.#log = new Log({
      ...options,
      onBegin: (start) => (isLate = start > 0),
      onRecord: ({ offset, time, value }) => {
        if (value === null) return
        if (isLate) this.state.beginLate(time)
        isLate = false
        news = this.state.fold(time, JSON.parse(value.toString()) as OwnersSaying) || news
        this.#ahead = time - options.clock.now()
        if (offset % 100 === 0) this.#marks.push({ offset, time })
      },
      onChunk: () => {
        if (news) for (const listener of this.#listeners) listener()
        news = false
      },
    })
  }

  /** The broker's clock, as far as is known. */
  get now(): number {
    return Math.max(this.#options.clock.now() + this.#ahead, this.state.time)
  }

  /** Says it, and resolves when it and all that was said before is known here. */
  async say(saying: OwnersSaying): Promise<void> {
    await this.#log.started()
    const { driver, place } = this.#options
    const value = Buffer.from(JSON.stringify(saying))
    const [stored] = await driver.produce([{ ...place, records: [{ key: null, value }] }])
    if (!stored!.ok) throw stored!.error
    await this.#log.until(stored!.offset + 1)
    this.#truncate()
  }

  onNews(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  stop(): void {
    this.#log.stop()
  }

  #truncate(): void {
    const old = this.#marks.filter(({ time }) => time < this.state.time - KEPT_MS).at(-1)
    if (old === undefined || old.offset - this.#log.start < TRUNCATE_RECORDS) return
    this.#marks = this.#marks.filter(({ offset }) => offset > old.offset)
    this.#options.driver.truncate(this.#options.place, old.offset).catch(() => {})
  }
}
