// Looks at dispatch windows that have been out for long, and has what was lost sent again. The rules are in windows.ts.
import type { Clock } from '../clock'
import type { Logger } from '../logger'
import type { Space } from '../transport'
import { MissingRow, type Closed, type Draft } from './draft'
import type { LocalLane } from './local-lane'
import { outstandingEntries, type Input } from './reducer'
import type { RowCache } from './row-cache'
import type { WindowItem, WindowRow } from './rows'
import type { Window, Windows } from './windows'

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

  /** A window that an earlier owner has left. What that owner had in its own process is lost, unless that process is this one. */
  async adopt(row: WindowRow): Promise<void> {
    const { windows, lane, clock, leaseMs, say } = this.#options
    let open = 0
    const lost: WindowItem[] = []
    for (const item of row.items) {
      const entries = await this.#outstanding(item)
      open += entries.length
      if (item.lane === 'local')
        for (const entry of entries) if (!lane?.isRunning(entry)) lost.push({ lane: 'local', ...entry })
    }
    const window = windows.add(row, open, clock.now() + 2 * leaseMs)
    if (open === 0) windows.abandon(window)
    if (lost.length > 0) void say({ type: 'resend', items: lost }, lost.length)
  }

  async #check(): Promise<void> {
    const { windows, clock, leaseMs, lane, logger, partition, say, isOver } = this.#options
    if (isOver()) return
    const now = clock.now()
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
      const lost: WindowItem[] = []
      let outstanding = 0
      for (const item of window.row.items) {
        for (const entry of await this.#outstanding(item)) {
          outstanding++
          if (lane?.isRunning(entry) || windows.reportedSince(entry, now - 2 * leaseMs)) continue
          lost.push({ lane: item.lane, ...entry })
        }
      }
      window.due = now + leaseMs
      // Its entries belong to runs that are over.
      if (outstanding === 0) windows.abandon(window)
      if (lost.length === 0) continue
      logger.warn({ partition, entries: lost.length }, 'tasks that nobody reports are sent again')
      await say({ type: 'resend', items: lost }, lost.length)
    }
  }

  async #mayStillWait({ row }: Window): Promise<boolean> {
    const { space, newDraft, leaseMs } = this.#options
    for (const queue of row.queues) {
      const age = await space.backlog(queue)
      // A message is stored a little later than its window was dated: what is younger by less than a lease is not younger.
      if (age !== undefined && age + leaseMs >= newDraft().now - row.sentAt) return true
    }
    return false
  }

  async #outstanding(item: WindowItem): Promise<readonly Closed[]> {
    const { newDraft, cache } = this.#options
    for (;;) {
      try {
        return outstandingEntries(newDraft(), item)
      } catch (error) {
        if (!(error instanceof MissingRow)) throw error
        await cache.load([error.key])
      }
    }
  }
}
