/** A queue in a ring: every operation takes constant time, and what was taken out is not kept alive. */
export class Deque<T> {
  #ring: (T | undefined)[] = new Array(16)
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The item `index` places behind the first. */
  at(index: number): T | undefined {
    return index < this.#size ? this.#ring[(this.#head + index) & (this.#ring.length - 1)] : undefined
  }

  push(item: T): void {
    if (this.#size === this.#ring.length) this.#resize(this.#size * 2)
    this.#ring[(this.#head + this.#size++) & (this.#ring.length - 1)] = item
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined
    const item = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#size--
    // A backlog of a million that has been worked off gives its memory back.
    if (this.#ring.length > 4096 && this.#size < this.#ring.length / 8) this.#resize(this.#ring.length / 4)
    return item
  }

  #resize(length: number): void {
    const ring: (T | undefined)[] = new Array(length)
    for (let i = 0; i < this.#size; i++) ring[i] = this.at(i)
    this.#ring = ring
    this.#head = 0
  }
}
