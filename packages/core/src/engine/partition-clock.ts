// What time it is in a partition: the store's clock, never going back over all owners, going on when that one does, and not believed when it jumps.
import type { Clock } from '../clock'
import type { Logger } from '../logger'

/** A clock that jumps ahead further than this, against the time that has passed, is not believed. */
const MOST_JUMP_MS = 60_000

export class PartitionClock {
  readonly #clock: Clock
  readonly #logger: Logger
  /** Of the store's clock against this machine's. */
  #offset = 0
  /** The time of the last commit, and when that was by the monotonic clock. */
  #last: number
  #lastMonotonic: number
  #trusted = false
  #told = false

  /** @param last the time of the partition's last commit */
  constructor(clock: Clock, logger: Logger, last: number) {
    this.#clock = clock
    this.#logger = logger
    this.#last = last
    this.#lastMonotonic = clock.monotonic()
  }

  /** At the beginning of a session: from here on a jump can be told, before the first commit too. */
  setStoreTime(now: number): void {
    this.#offset = now - this.#clock.now()
    this.committed(Math.max(now, this.#last))
  }

  now(): number {
    const now = Math.floor(this.#clock.now() + this.#offset)
    const expected = Math.floor(this.#last + this.#clock.monotonic() - this.#lastMonotonic)
    // Before that, nothing is known of how much time has passed since the last commit.
    if (this.#trusted && now > expected + MOST_JUMP_MS) {
      if (!this.#told) this.#logger.error({ aheadMs: now - expected }, 'the clock has jumped ahead and is not believed')
      this.#told = true
      return expected
    }
    // One that was set back is waited for by nobody: time goes on from where it was, or timers would stand still until the clock has caught up.
    return Math.max(now, expected)
  }

  committed(now: number): void {
    this.#last = now
    this.#lastMonotonic = this.#clock.monotonic()
    this.#trusted = true
  }

  /** Ms from now until it is `time` here. */
  until(time: number): number {
    return Math.max(0, time - this.now())
  }
}
