import assert from 'node:assert/strict'

/** Counts how often a task ran with each number: what every check of "exactly once" rests on. */
export class Tally {
  readonly #name: string
  #counts = new Uint8Array(1024)
  #total = 0
  /** Resolves at this total. */
  #goal = Infinity
  #reached: (() => void) | undefined

  constructor(name: string) {
    this.#name = name
  }

  get total(): number {
    return this.#total
  }

  add(index: number): void {
    if (index >= this.#counts.length) this.#grow(index)
    this.#counts[index]!++
    if (++this.#total === this.#goal) this.#reached?.()
  }

  /** Resolves in the very run that makes the total `total`. */
  reaches(total: number): Promise<void> {
    if (this.#total >= total) return Promise.resolve()
    this.#goal = total
    return new Promise((resolve) => (this.#reached = resolve))
  }

  /** How often it ran with each number. */
  counts(): readonly number[] {
    return [...this.#counts]
  }

  /** Counts what ran elsewhere as well. */
  addCounts(counts: readonly number[]): void {
    counts.forEach((times, index) => {
      for (let i = 0; i < times; i++) this.add(index)
    })
  }

  reset(): void {
    this.#counts.fill(0)
    this.#total = 0
    this.#goal = Infinity
  }

  /** Every number below `count` ran exactly `times` times, and no other ran. Then everything is forgotten. */
  checkAndReset(count: number, times = 1): void {
    for (let i = 0; i < this.#counts.length; i++) {
      const wanted = i < count ? times : 0
      if (this.#counts[i] !== wanted) {
        assert.fail(`${this.#name}(${i}) ran ${this.#counts[i]} times instead of ${wanted}; ${this.#total} runs in all`)
      }
    }
    assert.ok(this.#counts.length >= count || times === 0, `${this.#name} never ran with ${count - 1}`)
    this.reset()
  }

  #grow(index: number): void {
    const larger = new Uint8Array(Math.max(index + 1, this.#counts.length * 2))
    larger.set(this.#counts)
    this.#counts = larger
  }
}
