// The timers of a partition: rows sorted by due time, of which the next ones are in memory. However many pipelines sleep, an owner holds only
// what is due soon, and reads on when that has passed.
import type { RowKey } from '../transport'
import type { ScanRows } from './fan-in'
import { decodeRow } from './row-codec'
import { dueOf, TIMERS } from './row-keys'
import type { TimerRow } from './rows'

const PAGE = 5_000
/** The most in memory. */
const MOST = 2 * PAGE

interface Entry {
  readonly key: RowKey
  readonly row: TimerRow
}

export class Timers {
  /** A binary heap by key, which starts with the due time. */
  readonly #heap: Entry[] = []
  /** Rows after this key are not in memory; undefined if all are. */
  #horizon: RowKey | undefined

  async restore(scan: ScanRows): Promise<void> {
    await this.#readOn(scan, undefined)
  }

  async #readOn(scan: ScanRows, after: RowKey | undefined): Promise<void> {
    const page = await scan(TIMERS, after, PAGE)
    for (const [key, bytes] of page) this.#push({ key, row: decodeRow(key, bytes) as TimerRow })
    this.#horizon = page.length === PAGE ? page.at(-1)![0] : undefined
  }

  /** A timer row was written. */
  added(key: RowKey, row: TimerRow): void {
    if (this.#horizon !== undefined && key > this.#horizon) return
    this.#push({ key, row })
    if (this.#heap.length <= MOST) return
    // The later half is read again when it comes near. What is sorted is a heap.
    this.#heap.sort((a, b) => (a.key < b.key ? -1 : 1)).splice(PAGE)
    this.#horizon = this.#heap.at(-1)!.key
  }

  /** When the next one is due, as far as is known. */
  get next(): number | undefined {
    const first = this.#heap[0]
    if (first !== undefined) return dueOf(first.key)
    // Nothing in memory, but rows beyond the horizon: look at once.
    return this.#horizon === undefined ? undefined : 0
  }

  /** Takes those that are due, at most `limit`. */
  due(now: number, limit: number): readonly Entry[] {
    const due: Entry[] = []
    while (due.length < limit && this.#heap.length > 0 && dueOf(this.#heap[0]!.key) <= now) due.push(this.#pop())
    return due
  }

  /** Reads further rows if those in memory have been used up. */
  refill(scan: ScanRows): Promise<void> | undefined {
    return this.#heap.length === 0 && this.#horizon !== undefined ? this.#readOn(scan, this.#horizon) : undefined
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.key <= entry.key) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #pop(): Entry {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.key < heap[child]!.key) child++
      if (heap[child]!.key >= last.key) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}
