// Dispatch windows: what each commit has sent out, so that what a dead worker or a forgetful broker has lost is sent again.
//
// One row per commit, written once and deleted when the last of its entries has been heard of. In memory a window only counts.
// When it has been out for long, its entries are looked at:
//   - not while the queue's oldest waiting message is older than the window: they may still wait there;
//   - not while a worker reports them as running, or this process runs them;
//   - and only after workers have had two leases of time to report.
import type { RowKey } from '../transport'
import type { Closed, Dispatch, Draft } from './draft'
import type { RunningItem } from '../wire'
import { parentOf, splitEntry } from './paths'
import { windowKey, type Lane, type WindowItem, type WindowRow } from './rows'

export interface Window {
  readonly key: RowKey
  readonly row: WindowRow
  /** Entries not heard of. */
  open: number
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

export const nameOf = (entry: Closed): string => `${entry.run}${entry.path}#${entry.attempt}`

export class Windows {
  readonly #windows = new Set<Window>()
  readonly #abandoned = new Set<Window>()
  readonly #singles = new Map<string, Window>()
  readonly #ranges = new Map<string, Range[]>()
  /** What workers have reported as running, and when. */
  readonly #reported = new Map<string, number>()

  add(row: WindowRow, open: number, due: number): Window {
    const window: Window = { key: windowKey(row.seq), row, open, due, drainedAt: undefined }
    this.#windows.add(window)
    for (const item of row.items) {
      if ('path' in item) {
        this.#singles.set(nameOf(item), window)
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

  /** Which windows a draft closes entries of. Those it closes for good are deleted with it; nothing else changes: it may be thrown away. */
  close(draft: Draft): Closing {
    const closing = new Map<Window, number>()
    const seen = new Set<string>()
    for (const entry of draft.closed) {
      // An entry that ended in the draft that sends it again is closed twice, and counted off once.
      const name = nameOf(entry)
      if (seen.has(name)) continue
      seen.add(name)
      const window = this.of(entry)
      if (window !== undefined) closing.set(window, (closing.get(window) ?? 0) + 1)
    }
    for (const window of this.#abandoned) closing.set(window, window.open)
    for (const [window, count] of closing) if (window.open <= count) draft.delete(window.key)
    return closing
  }

  /** The window that an outstanding entry is in: the last that named it. */
  of(entry: Closed): Window | undefined {
    return this.#singles.get(nameOf(entry)) ?? this.#rangeOf(entry)?.window
  }

  #rangeOf({ run, path, attempt }: Closed): Range | undefined {
    if (attempt !== 1 || this.#ranges.size === 0) return undefined
    const entry = splitEntry(path)
    if (entry === undefined || entry.index !== 0) return undefined
    const parent = parentOf(entry.chain)
    if (parent.kind !== 'group') return undefined
    const ranges = this.#ranges.get(`${run}${parent.entry}`)
    return ranges?.find(({ from, to }) => parent.index >= from && parent.index < to)
  }

  /** The draft was committed. */
  apply(draft: Draft, closing: Closing): void {
    for (const entry of draft.closed) {
      this.#singles.delete(nameOf(entry))
      if (this.#reported.size > 0) this.#reported.delete(nameOf(entry))
    }
    for (const [window, count] of closing) {
      window.open -= count
      if (window.open <= 0) this.#drop(window)
    }
  }

  /** Nothing of it is outstanding any more: its row goes with the next commit. */
  abandon(window: Window): void {
    this.#abandoned.add(window)
  }

  /** A planned end: what runs in this process is from now on waited for as what others run. */
  shareAll(draft: Draft): void {
    for (const { key, row } of this.#windows) {
      if (!row.items.some(({ lane }) => lane === 'local')) continue
      draft.put(key, { ...row, items: row.items.map((item) => ({ ...item, lane: 'queue' as const })) })
    }
  }

  #drop(window: Window): void {
    this.#windows.delete(window)
    this.#abandoned.delete(window)
    for (const item of window.row.items) {
      if ('path' in item) {
        if (this.#singles.get(nameOf(item)) === window) this.#singles.delete(nameOf(item))
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

  reportedSince(entry: Closed, since: number): boolean {
    return (this.#reported.get(nameOf(entry)) ?? 0) >= since
  }

  forgetReports(before: number): void {
    for (const [key, at] of this.#reported) if (at < before) this.#reported.delete(key)
  }

  due(now: number): readonly Window[] {
    return [...this.#windows].filter((window) => window.due <= now)
  }
}

/** Names what was dispatched: neighbours of one group and lane as a range. */
export function windowItems(dispatched: Iterable<readonly [Dispatch, Lane]>): WindowItem[] {
  const items: WindowItem[] = []
  let range: { lane: Lane; id: string; run: string; group: string; from: number; to: number } | undefined
  for (const [{ id, run, path, attempt, group, child, shared }, lane] of dispatched) {
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
