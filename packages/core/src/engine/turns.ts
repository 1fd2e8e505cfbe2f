// When the owners of a process take their turns. All that are due take them in one go: so their commits are requested together, and a store
// that can make one write of several does.
import type { Clock } from '../clock'

export interface TakesTurns {
  /** Everything up to the request of the commit happens synchronously, if nothing has to be loaded. */
  turn(): void
}

/** Turns follow each other for this long before timers and I/O have theirs. */
const SLICE_MS = 10
/** For this long nobody looks whether they have: to be told of it takes a round of the event loop. */
const FREE_MS = 5

export class Turns {
  readonly #clock: Clock
  #waiting = new Set<TakesTurns>()
  #scheduled: 'no' | 'soon' | 'now' = 'no'
  /** The event loop has not had its turn since; undefined if that is not looked at. */
  #sliceBegan: number | undefined
  #freeUntil = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `now`: when the running code has ended, for what nothing else will join. `soon`: after the I/O at hand, so that more joins the batch. */
  request(owner: TakesTurns, when: 'now' | 'soon'): void {
    this.#waiting.add(owner)
    if (when === 'now' && !this.#isSliceOver()) {
      if (this.#scheduled === 'now') return
      this.#scheduled = 'now'
      queueMicrotask(() => this.#take())
    } else if (this.#scheduled === 'no') {
      this.#scheduled = 'soon'
      this.#clock.soon(() => this.#take())
    }
  }

  // With a transport that answers without I/O, a partition with much to do would keep the loop to itself: leases would run out.
  #isSliceOver(): boolean {
    const now = this.#clock.monotonic()
    if (this.#sliceBegan !== undefined) return now - this.#sliceBegan > SLICE_MS
    if (now < this.#freeUntil) return false
    this.#sliceBegan = now
    this.#clock.soon(() => {
      this.#sliceBegan = undefined
      this.#freeUntil = this.#clock.monotonic() + FREE_MS
    })
    return false
  }

  #take(): void {
    this.#scheduled = 'no'
    const owners = this.#waiting
    if (owners.size === 0) return
    this.#waiting = new Set()
    for (const owner of owners) owner.turn()
  }
}
