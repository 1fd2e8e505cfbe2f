/** When something is due, and, where the order may not depend on what was in the heap before, which of those that are due at the same time comes first. */
export interface Due {
  readonly dueAt: number
  readonly number?: number
}

/** What is due first comes out first. That may not change while it is in. */
export class Heap<T extends Due> {
  #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  /** In no order. */
  values(): Iterable<T> {
    return this.#items
  }

  /** Throws the others out. */
  keep(wanted: (item: T) => boolean): void {
    // What is sorted is a heap.
    this.#items = this.#items.filter(wanted).sort((a, b) => (isBefore(a, b) ? -1 : 1))
  }

  push(item: T): void {
    const items = this.#items
    let at = items.length
    items.push(item)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(item, items[parent]!)) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = item
  }

  pop(): T | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (items.length === 0 || last === undefined) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && isBefore(items[child + 1]!, items[child]!)) child++
      if (!isBefore(items[child]!, last)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return first
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.dueAt < b.dueAt || (a.dueAt === b.dueAt && (a.number ?? 0) < (b.number ?? 0))
}
