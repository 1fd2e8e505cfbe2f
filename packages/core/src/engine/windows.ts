// Dispatch windows: what each commit has sent out, so that what a dead worker or a forgetful broker has lost is sent again.
//
// One row per commit, written once, and deleted, or replaced by that of a later commit, when the last of its entries has been heard of. In memory a window only
// counts.
// When it has been out for long, its entries are looked at:
//   - not while the queue's oldest waiting message is older than the window: they may still wait there;
//   - not while a worker reports them as running, or this process runs them;
//   - and only after workers have had two leases of time to report.
import type { RowKey } from '../transport'
import type { Closed, Dispatch, Draft, EntryName } from './draft'
import type { RunningItem } from '../wire/inbox-message'
import { parentOf, splitEntry } from './paths'
import type { Lane, WindowItem, WindowRow } from './rows'

export interface Window {
  readonly key: RowKey
  readonly row: WindowRow
  /** Entries not heard of. */
  open: number
  /** When it was sent out. This and what follows: by the monotonic clock. */
  readonly sentAt: number
  /** When it is to be looked at. */
  due: number
  /** Since when nothing older waits in its queues. */
  drainedAt: number | undefined
}

interface Range {
  readonly from: number
  readonly to: number
  readonly window: Window
}

/** How many entries of which windows a commit closes. */
export type Closing = ReadonlyMap<Window, number>

export const nameOf = (entry: EntryName): string => `${entry.run}${entry.path}#${entry.attempt}`

export class Windows {
  readonly #windows = new Set<Window>()
  readonly #abandoned = new Set<Window>()
  /** By the name of the entry; first entries of chains of groups, which were given back or sent again, apart: mostly there are none. */
  readonly #singles = new Map<string, Window>()
  readonly #strays = new Map<string, Window>()
  readonly #ranges = new Map<string, Range[]>()
  /** What workers have reported as running, and when. */
  readonly #reported = new Map<string, number>()

  add(key: RowKey, row: WindowRow, open: number, sentAt: number, due: number): Window {
    const window: Window = { key, row, open, sentAt, due, drainedAt: undefined }
    this.#windows.add(window)
    for (const item of row.items) {
      if ('path' in item) {
        const named = firstOfChild(item) === undefined ? this.#singles : this.#strays
        named.set(nameOf(item), window)
      } else {
        const key = `${item.run}${item.group}`
        const ranges = this.#ranges.get(key)
        const range = { from: item.from, to: item.to, window }
        if (ranges === undefined) this.#ranges.set(key, [range])
        else ranges.push(range)
      }
    }
    return window
  }

  /**
   * Which windows a draft closes entries of. Those it closes for good are deleted with it; nothing else changes: it may be thrown away.
   * @param most of those that were abandoned go with one commit: it has a largest size
   */
  close(draft: Draft, most: number): Closing {
    const closing = new Map<Window, number>()
    const count = (window: Window | undefined): void => {
      if (window !== undefined) closing.set(window, (closing.get(window) ?? 0) + 1)
    }
    // An entry that ended in the draft that sends it again is closed twice, and counted off once.
    const seen = new Set<string>()
    for (const entry of draft.closed) {
      if (entry.group !== undefined) continue
      const name = nameOf(entry)
      if (seen.has(name)) continue
      seen.add(name)
      count(this.of(entry))
    }
    // The most frequent by far: without a name, as long as nothing makes one necessary.
    let last: Range | undefined
    let lastOf: Closed | undefined
    for (const entry of draft.closed) {
      const { run, group, child } = entry
      if (group === undefined || (seen.size > 0 && seen.has(nameOf(entry)))) continue
      const stray = this.#strays.size === 0 ? undefined : this.#strays.get(nameOf(entry))
      if (stray !== undefined) {
        count(stray)
        continue
      }
      const isNear = lastOf?.group === group && lastOf.run === run && child >= last!.from && child < last!.to
      if (!isNear) {
        last = this.#rangeOf(run, group, child)
        lastOf = last && entry
      }
      count(last?.window)
    }
    let left = most
    for (const window of this.#abandoned) {
      if (left-- === 0) break
      closing.set(window, window.open)
    }
    for (const [window, count] of closing) if (window.open <= count) draft.delete(window.key)
    return closing
  }

  /** The window that an outstanding entry is in: the last that named it. */
  of(entry: EntryName): Window | undefined {
    const name = nameOf(entry)
    const named = this.#singles.get(name) ?? this.#strays.get(name)
    if (named !== undefined) return named
    const first = firstOfChild(entry)
    return first && this.#rangeOf(entry.run, first.entry, first.index)?.window
  }

  #rangeOf(run: string, group: string, child: number): Range | undefined {
    return this.#ranges.get(`${run}${group}`)?.find(({ from, to }) => child >= from && child < to)
  }

  /** The draft was committed. */
  apply(draft: Draft, closing: Closing): void {
    for (const entry of draft.closed) {
      if (entry.group === undefined) this.#singles.delete(nameOf(entry))
      if (this.#strays.size > 0) this.#strays.delete(nameOf(entry))
      if (this.#reported.size > 0) this.#reported.delete(nameOf(entry))
    }
    for (const [window, count] of closing) {
      window.open -= count
      if (window.open <= 0) this.#drop(window)
    }
  }

  get hasAbandoned(): boolean {
    return this.#abandoned.size > 0
  }

  /** Nothing of it is outstanding any more: its row goes with the next commit. */
  abandon(window: Window): void {
    this.#abandoned.add(window)
  }

  /** A planned end: the rows by which what runs in this process is waited for as what others run. */
  *shared(): Generator<readonly [RowKey, WindowRow]> {
    for (const { key, row } of this.#windows) {
      if (!row.items.some(({ lane }) => lane === 'local')) continue
      yield [key, { ...row, items: row.items.map((item) => ({ ...item, lane: 'queue' as const })) }]
    }
  }

  #drop(window: Window): void {
    this.#windows.delete(window)
    this.#abandoned.delete(window)
    for (const item of window.row.items) {
      if ('path' in item) {
        const named = firstOfChild(item) === undefined ? this.#singles : this.#strays
        if (named.get(nameOf(item)) === window) named.delete(nameOf(item))
      } else {
        const key = `${item.run}${item.group}`
        const ranges = this.#ranges.get(key)?.filter((range) => range.window !== window) ?? []
        if (ranges.length === 0) this.#ranges.delete(key)
        else this.#ranges.set(key, ranges)
      }
    }
  }

  report(items: readonly RunningItem[], now: number): void {
    for (const [id, run, path, attempt] of items) this.#reported.set(nameOf({ id, run, path, attempt }), now)
  }

  reportedSince(entry: EntryName, since: number): boolean {
    return (this.#reported.get(nameOf(entry)) ?? -Infinity) >= since
  }

  forgetReports(before: number): void {
    for (const [key, at] of this.#reported) if (at < before) this.#reported.delete(key)
  }

  due(now: number): readonly Window[] {
    return [...this.#windows].filter((window) => window.due <= now)
  }
}

/** The key of a window that is closed for good. */
export function keyOfClosed(closing: Closing): RowKey | undefined {
  for (const [window, count] of closing) if (window.open <= count) return window.key
  return undefined
}

/** Which chain of which group an entry is the first of, if this is its first attempt. */
function firstOfChild({ path, attempt }: EntryName): { readonly entry: string; readonly index: number } | undefined {
  const entry = attempt === 1 ? splitEntry(path) : undefined
  if (entry === undefined || entry.index !== 0) return undefined
  const parent = parentOf(entry.chain)
  return parent.kind === 'group' ? parent : undefined
}

/** Names what was dispatched, each by its lane: neighbours of one group and lane as a range. */
export function windowItems(dispatches: readonly Dispatch[], lanes: readonly Lane[]): WindowItem[] {
  const items: WindowItem[] = []
  let range: { lane: Lane; id: string; run: string; group: string; from: number; to: number } | undefined
  for (let at = 0; at < dispatches.length; at++) {
    const { id, run, path, attempt, group, child, shared } = dispatches[at]!
    const lane = lanes[at]!
    // An entry that has been in a window before is named alone, so that it is counted off the window it is in now.
    if (group === undefined || shared) {
      items.push({ lane, id, run, path, attempt })
      continue
    }
    if (
      range !== undefined &&
      range.lane === lane &&
      range.run === run &&
      range.group === group &&
      range.to === child
    ) {
      range.to++
      continue
    }
    range = { lane, id, run, group, from: child, to: child + 1 }
    items.push(range)
  }
  return items
}
