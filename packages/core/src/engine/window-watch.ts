// Looks at dispatch windows that have been out for long, and has what was lost sent again. The rules are in windows.ts.
import type { Clock } from '../clock'
import type { Logger } from '../logger'
import type { RowKey, Space } from '../transport'
import { forEachRow, MissingRow, type EntryName, type Draft } from './draft'
import type { LocalLane } from './local-lane'
import type { Input } from './input'
import { outstandingEntries } from './reducer'
import type { RowCache } from './row-cache'
import type { WindowItem, WindowRow } from './rows'
import { nameOf, type Window, type Windows } from './windows'

export interface WindowWatchOptions {
  readonly windows: Windows
  readonly space: Space
  readonly cache: RowCache
  readonly lane: LocalLane | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly leaseMs: number
  readonly partition: number
  readonly newDraft: () => Draft
  readonly say: (input: Input, weight: number) => Promise<void>
  /** Resolves when everything that is in the inbox now has been folded. */
  readonly caughtUp: () => Promise<void>
  readonly isOver: () => boolean
}

export class WindowWatch {
  readonly #options: WindowWatchOptions
  #cancel: () => void = () => undefined

  constructor(options: WindowWatchOptions) {
    this.#options = options
  }

  start(): void {
    const { clock, leaseMs, logger, partition, isOver } = this.#options
    this.#cancel = clock.after(
      leaseMs / 2,
      () => {
        this.#check()
          .catch((error: unknown) => {
            if (!isOver()) logger.warn({ partition, error }, 'dispatch windows could not be checked')
          })
          .finally(() => isOver() || this.start())
      },
      { unref: true },
    )
  }

  stop(): void {
    this.#cancel()
  }

  /** The windows that an earlier owner has left. What that owner had in its own process is lost, unless that process is this one. */
  async adopt(found: readonly (readonly [RowKey, WindowRow])[]): Promise<void> {
    const { windows, lane, clock, leaseMs, logger, partition, newDraft, say, caughtUp } = this.#options
    // A key says nothing of when its row was written.
    const keyed = [...found].sort(([, a], [, b]) => a.seq - b.seq)
    const rows = keyed.map(([, row]) => row)
    const seen = new Set<string>()
    const open = new Map<WindowRow, number>()
    const lost = new Map<EntryName, WindowRow>()
    // The newest first: an entry that was given back, or sent again, is in the last window that names it, and in no other.
    const outstanding = await this.#outstanding(rows.flatMap(({ items }) => items))
    for (const row of [...rows].reverse()) {
      let count = 0
      for (const item of row.items) {
        for (const entry of outstanding.get(item)!) {
          const name = nameOf(entry)
          if (seen.has(name)) continue
          seen.add(name)
          count++
          if (item.lane === 'local' && lane?.isRunning(entry) !== true) lost.set(entry, row)
        }
      }
      open.set(row, count)
    }
    const now = clock.monotonic()
    const { now: time } = newDraft()
    const adopted = new Map<WindowRow, Window>()
    for (const [key, row] of keyed) {
      const count = open.get(row)!
      const window = windows.add(key, row, count, now - Math.max(0, time - row.sentAt), now + 2 * leaseMs)
      if (count === 0) windows.abandon(window)
      adopted.set(row, window)
    }
    if (lost.size === 0) return
    // What an earlier session has not committed is in the inbox, if its process lives.
    void caughtUp()
      .then(() => {
        const items = [...lost].flatMap(([entry, row]) =>
          windows.of(entry) === adopted.get(row) ? [{ lane: 'local' as const, ...entry }] : [],
        )
        return say({ type: 'resend', items }, items.length)
      })
      // They are in windows, which are looked at later.
      .catch((error: unknown) => logger.debug({ partition, error }, 'an inbox could not be waited for'))
  }

  async #check(): Promise<void> {
    const { windows, clock, leaseMs, logger, partition, say, caughtUp, isOver } = this.#options
    if (isOver()) return
    const now = clock.monotonic()
    windows.forgetReports(now - 4 * leaseMs)
    for (const window of windows.due(now)) {
      if (await this.#mayStillWait(window)) {
        window.drainedAt = undefined
        window.due = now + leaseMs
        continue
      }
      if (window.drainedAt === undefined) {
        // From here on whoever has one of its entries has two leases to say so.
        window.drainedAt = now
        window.due = now + 2 * leaseMs
        continue
      }
      window.due = now + leaseMs
      let lost = await this.#lost(window)
      if (lost.length > 0) {
        // An owner that is behind has not seen the reports and outcomes that wait in its inbox.
        await caughtUp()
        lost = await this.#lost(window)
      }
      if (lost.length === 0) continue
      logger.warn({ partition, entries: lost.length }, 'tasks that nobody reports are sent again')
      await say({ type: 'resend', items: lost }, lost.length)
    }
  }

  /** What nobody has, as far as is known. */
  async #lost(window: Window): Promise<readonly WindowItem[]> {
    const { windows, clock, leaseMs, lane } = this.#options
    const since = clock.monotonic() - 2 * leaseMs
    const lost: WindowItem[] = []
    let outstanding = 0
    for (const [item, entries] of await this.#outstanding(window.row.items)) {
      for (const entry of entries) {
        if (windows.of(entry) !== window) continue
        outstanding++
        if (lane?.isRunning(entry) || windows.reportedSince(entry, since)) continue
        lost.push({ lane: item.lane, ...entry })
      }
    }
    // Its entries belong to runs that are over.
    if (outstanding === 0) windows.abandon(window)
    return lost
  }

  async #mayStillWait({ row, sentAt }: Window): Promise<boolean> {
    const { space, clock, leaseMs } = this.#options
    for (const queue of row.queues) {
      const age = await space.backlog(queue)
      // What the commit sent was stored when it succeeded: somewhat later than the time that it has.
      if (age !== undefined && age + leaseMs >= clock.monotonic() - sentAt) return true
    }
    return false
  }

  async #outstanding(items: readonly WindowItem[]): Promise<ReadonlyMap<WindowItem, readonly EntryName[]>> {
    const { newDraft, cache } = this.#options
    for (;;) {
      const entries = new Map<WindowItem, readonly EntryName[]>()
      const draft = newDraft()
      try {
        forEachRow(items, (item) => entries.set(item, outstandingEntries(draft, item)))
        return entries
      } catch (error) {
        if (!(error instanceof MissingRow)) throw error
        await cache.load(error.keys)
      }
    }
  }
}
