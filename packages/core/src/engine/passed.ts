// Inbox messages that changed no row: their position rides on the next commit, or, when there are many or they are old, on one of its own.
import type { Position } from '../transport'
import type { Arrived } from './arrivals'

const MOST_PASSED = 1_000
const MOST_AGE_MS = 10_000

export class Passed {
  #count = 0
  #position: Position | undefined
  #since = Infinity

  add(batch: readonly Arrived[], position: Position, now: number): void {
    for (const { message } of batch) if (message !== undefined) this.#count++
    if (this.#position === undefined) this.#since = now
    this.#position = position
  }

  /** When they are old enough for a commit of their own, monotonic ms. */
  get dueAt(): number {
    return this.#since + MOST_AGE_MS
  }

  /** The position that is due to be committed. */
  due(now: number): Position | undefined {
    return this.#count >= MOST_PASSED || now >= this.dueAt ? this.#position : undefined
  }

  /** Committed, with these or a later one. */
  clear(): void {
    this.#count = 0
    this.#position = undefined
    this.#since = Infinity
  }
}
