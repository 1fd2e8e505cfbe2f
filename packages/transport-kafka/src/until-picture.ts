// What is read of a log that has lost its beginning: it is folded from the first picture of the state on. What was read without what was before it would be decided otherwise than by those
// who know that.

interface Entry {
  readonly offset: number
}

export interface PictureOf {
  /** What all records up to here have led to. */
  readonly upTo: number
  readonly restore: () => void
}

export class UntilPicture<E extends Entry> {
  readonly #apply: (entry: E) => void
  #waiting: E[] | undefined
  #start = 0

  constructor(apply: (entry: E) => void) {
    this.#apply = apply
  }

  get isWaiting(): boolean {
    return this.#waiting !== undefined
  }

  /** What is taken from now on is what the log holds from its start. */
  begin(start: number): void {
    this.#start = start
    this.#waiting = start > 0 ? [] : undefined
  }

  take(entry: E, picture: PictureOf | undefined): void {
    if (this.#waiting === undefined) return this.#apply(entry)
    this.#waiting.push(entry)
    // One that was written before somebody else's cut may lack what is gone. Whoever has cut there has left another behind it.
    if (picture === undefined || picture.upTo < this.#start - 1) return
    picture.restore()
    this.#waiting = this.#waiting.filter(({ offset }) => offset > picture.upTo)
    this.end()
  }

  /** There is no picture: somebody else than us has cut the log, and nothing is better than what is there. */
  end(): void {
    const entries = this.#waiting ?? []
    this.#waiting = undefined
    for (const entry of entries) this.#apply(entry)
  }
}
