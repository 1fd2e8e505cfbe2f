// Tasks that were sent together and are held together: they were handed out by one grant, for the first time, and nothing was said of one of them alone since. So thousands of them cost as
// much as one. What is said of one alone takes it out.

/** Tasks of one record that were sent to one queue with one priority. */
export interface Run {
  readonly offset: number
  /** Its first task's index in the record, and what is behind its last. */
  readonly from: number
  readonly to: number
  /** When it was sent, by the broker's clock. */
  readonly at: number
  readonly priority: number
}

export class Lot<Q> implements Run {
  readonly queue: Q
  readonly offset: number
  readonly from: number
  readonly to: number
  readonly at: number
  readonly priority: number
  readonly grant: string
  /** Until when it is held. */
  until: number
  /** What its holder still has when that is over; 0: it is. */
  graceMs: number
  /** How many are in it. */
  left: number
  /** By index, from the first: 1 is not in it any more. */
  readonly #out: Uint8Array

  constructor(queue: Q, { offset, from, to, at, priority }: Run, grant: string, until: number, graceMs: number) {
    this.queue = queue
    this.offset = offset
    this.from = from
    this.to = to
    this.at = at
    this.priority = priority
    this.grant = grant
    this.until = until
    this.graceMs = graceMs
    this.left = to - from
    this.#out = new Uint8Array(this.left)
  }

  has(index: number): boolean {
    return this.#out[index - this.from] === 0
  }

  takeOut(index: number): void {
    this.#out[index - this.from] = 1
    this.left--
  }

  /** Those that are in it, in order. */
  *indexes(): Generator<number> {
    for (let index = this.from; index < this.to; index++) if (this.has(index)) yield index
  }
}

/** The lots of a log, by the offset of their record. */
export class Lots<Q> {
  readonly #lots = new Map<number, Lot<Q>[]>()

  add(lot: Lot<Q>): void {
    const known = this.#lots.get(lot.offset)
    if (known === undefined) this.#lots.set(lot.offset, [lot])
    else known.push(lot)
  }

  /** The lot that a task is in. */
  of(offset: number, index: number): Lot<Q> | undefined {
    const lots = this.#lots.get(offset)
    if (lots === undefined) return undefined
    for (const lot of lots) if (index >= lot.from && index < lot.to) return lot.has(index) ? lot : undefined
    return undefined
  }

  takeOut(lot: Lot<Q>, index: number): void {
    lot.takeOut(index)
    if (lot.left === 0) this.#remove(lot)
  }

  /** Its tasks are in no lot from now on. */
  dissolve(lot: Lot<Q>): void {
    lot.left = 0
    this.#remove(lot)
  }

  *[Symbol.iterator](): Generator<Lot<Q>> {
    for (const lots of this.#lots.values()) yield* lots
  }

  #remove(lot: Lot<Q>): void {
    const left = this.#lots.get(lot.offset)!.filter((each) => each !== lot)
    if (left.length === 0) this.#lots.delete(lot.offset)
    else this.#lots.set(lot.offset, left)
  }
}
