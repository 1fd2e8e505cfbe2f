/** What is due first comes out first. `dueAt` of an item must not change while it is in. */
export class Heap<T extends { readonly dueAt: number }> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let at = items.length
    items.push(item)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (items[parent]!.dueAt <= item.dueAt) break
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
      if (child + 1 < items.length && items[child + 1]!.dueAt < items[child]!.dueAt) child++
      if (items[child]!.dueAt >= last.dueAt) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return first
  }
}
