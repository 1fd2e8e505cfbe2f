// Runs what it is given, at most so many at a time; the rest waits in order.

/** Never rejects. */
type Work = () => Promise<void>

export class AtMost {
  readonly #most: number
  #running = 0
  readonly #waiting = new Set<Work>()

  constructor(most: number) {
    this.#most = most
  }

  run(work: Work): void {
    if (this.#running === this.#most) this.#waiting.add(work)
    else void this.#goOn(work)
  }

  async #goOn(first: Work): Promise<void> {
    this.#running++
    for (let work: Work | undefined = first; work !== undefined; work = this.#takeNext()) await work()
    this.#running--
  }

  #takeNext(): Work | undefined {
    for (const work of this.#waiting) {
      this.#waiting.delete(work)
      return work
    }
    return undefined
  }
}
