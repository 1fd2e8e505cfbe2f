// The clock of the broker that leads a log, as its records tell it: each was read some time after it was written.
import type { Clock } from '@tasks/core/adapter'

/** How long what the quickest record has told is believed: leaders change, and their clocks differ. */
const WINDOW_MS = 10_000

export class BrokerClock {
  readonly #clock: Clock
  #time = 0
  /** The broker's clock less ours: by the last record, by the quickest of this window and by that of the one before. */
  #last = 0
  #quickest = -Infinity
  #before = -Infinity
  #windowAt: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#windowAt = clock.monotonic()
  }

  heard(time: number): void {
    const monotonic = this.#clock.monotonic()
    if (monotonic - this.#windowAt > WINDOW_MS) {
      this.#before = this.#quickest
      this.#quickest = -Infinity
      this.#windowAt = monotonic
    }
    this.#time = Math.max(this.#time, time)
    this.#last = time - this.#clock.now()
    this.#quickest = Math.max(this.#quickest, this.#last)
  }

  /** By the last record: what the next one tells is not earlier. */
  get now(): number {
    return Math.max(this.#clock.now() + this.#last, this.#time)
  }

  /** By the quickest: whoever was away, and reads now what was written then, knows by it how late it is. */
  get latest(): number {
    return Math.max(this.#clock.now() + Math.max(this.#last, this.#quickest, this.#before), this.#time)
  }
}
