// The keys of a map in the order of their UTF-8 bytes. New keys are only noted, and put in their places by the next read: a group of
// 250,000 results that is never read in order is never sorted, and a read between two writes costs what was written, not what is there.
// Of many new keys not even a note is kept, the map has them: keys that come and go for as long as nobody reads leave nothing behind.

import { compareUtf8 } from './key-order'

// For keys without units from U+D800 on, which is nearly all, both orders are one, and the engine's own comparison is ten times quicker.
const WIDE = /[\ud800-\uffff]/

function compareNarrow(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

const CHUNK = 512
/** So many new keys are sorted with all others: those, and any that are more than an eighth of them. */
const MANY = 64

export class SortedKeys {
  readonly #map: ReadonlyMap<string, unknown>
  #chunks: string[][] = []
  #placed = 0
  #noted: string[] = []
  /** Nothing of the above is known: the map is to be sorted. */
  #stale: boolean
  #compare = compareNarrow

  /** @param map tells which noted keys are still there when they are put in their places */
  constructor(map: ReadonlyMap<string, unknown>) {
    this.#map = map
    this.#stale = map.size > 0
    for (const key of map.keys()) this.#chooseOrder(key)
  }

  /** Call it when the map has gained `key`. */
  added(key: string): void {
    this.#chooseOrder(key)
    if (this.#stale) return
    this.#noted.push(key)
    if (this.#noted.length <= MANY || this.#noted.length <= this.#placed / 8) return
    this.#stale = true
    this.#chunks = []
    this.#noted = []
    this.#placed = 0
  }

  /** Call it when the map has lost `key`. */
  removed(key: string): void {
    if (this.#placed === 0) return
    const chunk = this.#chunks[this.#chunkOf(key)]!
    const at = this.#placeIn(chunk, key)
    if (chunk[at] !== key) return
    chunk.splice(at, 1)
    this.#placed--
    if (chunk.length === 0) this.#chunks.splice(this.#chunks.indexOf(chunk), 1)
  }

  /** Up to `limit` keys that start with `prefix` and come after `after`. */
  list(prefix: string, after: string | undefined, limit: number): string[] {
    this.#place()
    const found: string[] = []
    if (this.#placed === 0 || limit <= 0) return found
    const beyond = after !== undefined && compareUtf8(after, prefix) >= 0 ? after : undefined
    const from = beyond ?? prefix
    let c = this.#chunkOf(from)
    let at = this.#placeIn(this.#chunks[c]!, from)
    for (; c < this.#chunks.length; c++, at = 0) {
      const chunk = this.#chunks[c]!
      for (; at < chunk.length; at++) {
        const key = chunk[at]!
        if (key === beyond) continue
        // Keys with one prefix are next to each other.
        if (!key.startsWith(prefix)) return found
        found.push(key)
        if (found.length === limit) return found
      }
    }
    return found
  }

  #chooseOrder(key: string): void {
    if (this.#compare === compareNarrow && WIDE.test(key)) this.#compare = compareUtf8
  }

  #place(): void {
    if (this.#stale) return this.#rebuild()
    const noted = this.#noted
    if (noted.length === 0) return
    this.#noted = []
    for (const key of noted) if (this.#map.has(key)) this.#insert(key)
  }

  #rebuild(): void {
    const keys = [...this.#map.keys()].sort(this.#compare)
    this.#stale = false
    for (let i = 0; i < keys.length; i += CHUNK / 2) this.#chunks.push(keys.slice(i, i + CHUNK / 2))
    this.#placed = keys.length
  }

  #insert(key: string): void {
    if (this.#placed === 0) {
      this.#chunks = [[key]]
      this.#placed = 1
      return
    }
    const c = this.#chunkOf(key)
    const chunk = this.#chunks[c]!
    const at = this.#placeIn(chunk, key)
    // Removed and added again while it was only noted.
    if (chunk[at] === key) return
    chunk.splice(at, 0, key)
    this.#placed++
    if (chunk.length > CHUNK) this.#chunks.splice(c + 1, 0, chunk.splice(CHUNK / 2))
  }

  /** The last chunk whose first key is not after `key`. */
  #chunkOf(key: string): number {
    let low = 0
    let high = this.#chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#compare(this.#chunks[middle]![0]!, key) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  /** How many keys of the chunk are before `key`. */
  #placeIn(chunk: readonly string[], key: string): number {
    let low = 0
    let high = chunk.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(chunk[middle]!, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
