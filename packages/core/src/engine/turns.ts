// When the owners of a process take their turns. All that are due take them in one go: so their commits are requested together, and a store
// that can make one write of several does.
import type { Clock } from '../clock'

export interface TakesTurns {
  /** Everything up to the request of the commit happens synchronously, if nothing has to be loaded. */
  turn(): void
}

export class Turns {
  readonly #clock: Clock
  #waiting = new Set<TakesTurns>()
  #scheduled: 'no' | 'soon' | 'now' = 'no'

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `now`: when the running code has ended, for what nothing else will join. `soon`: after the I/O at hand, so that more joins the batch. */
  request(owner: TakesTurns, when: 'now' | 'soon'): void {
    this.#waiting.add(owner)
    if (when === 'now') {
      if (this.#scheduled === 'now') return
      this.#scheduled = 'now'
      queueMicrotask(() => this.#take())
    } else if (this.#scheduled === 'no') {
      this.#scheduled = 'soon'
      this.#clock.soon(() => this.#take())
    }
  }

  #take(): void {
    this.#scheduled = 'no'
    const owners = this.#waiting
    if (owners.size === 0) return
    this.#waiting = new Set()
    for (const owner of owners) owner.turn()
  }
}
