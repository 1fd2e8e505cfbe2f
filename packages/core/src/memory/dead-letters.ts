import type { Clock } from '../clock'
import type { Bytes, DeadLetter, DeadLetterInfo } from '../transport'

/** Letters in the order of arrival; their ids sort in that order. */
export class Letters {
  readonly #clock: Clock
  readonly #letters = new Map<string, DeadLetter>()
  #last = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `body` is kept as it is: the caller has copied it. */
  add(info: DeadLetterInfo, body: Bytes): void {
    const id = String(++this.#last).padStart(12, '0')
    this.#letters.set(id, { id, at: this.#clock.now(), info: { ...info }, body })
  }

  list(after: string | undefined, limit: number): DeadLetter[] {
    const found: DeadLetter[] = []
    for (const letter of this.#letters.values()) {
      if (found.length >= limit) break
      if (after === undefined || letter.id > after) found.push(copy(letter))
    }
    return found
  }

  get(id: string): DeadLetter | undefined {
    const letter = this.#letters.get(id)
    return letter && copy(letter)
  }

  drop(id: string): boolean {
    return this.#letters.delete(id)
  }
}

function copy(letter: DeadLetter): DeadLetter {
  return { ...letter, info: { ...letter.info }, body: letter.body.slice() }
}
