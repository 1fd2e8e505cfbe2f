// A clock that is told what time it is. Everything of core that waits, waits on it: so a week passes as fast as its work is done.
import { systemClock, type Clock } from '../clock'

export interface VirtualClock extends Clock {
  /** Moves time on by `ms`, timer by timer; what each has set off comes to rest before the next fires. */
  advance(ms: number): Promise<void>
  /**
   * Lets everything come to rest, then moves time on to the next timer up to `until`. False if there is none, or if `hold` says
   * that time is not to pass.
   */
  advanceToNext(until?: number, hold?: () => boolean): Promise<boolean>
  /** Lets everything that needs no time come to rest. */
  settle(): Promise<void>
}

interface Timer {
  readonly at: number
  readonly order: number
  readonly fn: () => void
}

/** Turns of the event loop without anything asked for soon, after which the program is taken to be at rest. */
const QUIET_TURNS = 3

/**
 * @param options.start ms since the epoch. Default 2026-01-01.
 * @param options.seed of random numbers and ids: the same seed, the same run. Default 1.
 */
export function virtualClock(options: { readonly start?: number; readonly seed?: number } = {}): VirtualClock {
  const start = options.start ?? 1_767_225_600_000
  let now = start
  let order = 0
  let ids = 0
  let soon = 0
  const seed = (options.seed ?? 1) >>> 0
  let state = seed
  const timers = new Set<Timer>()

  // mulberry32
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }

  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await turn()
      if (soon > 0) quiet = -1
    }
  }

  const next = (until: number): Timer | undefined => {
    let first: Timer | undefined
    for (const timer of timers) {
      if (timer.at > until) continue
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer
    }
    return first
  }

  const advanceToNext = async (until = Infinity, hold: () => boolean = () => false): Promise<boolean> => {
    await settle()
    const timer = hold() ? undefined : next(until)
    if (timer === undefined) return false
    timers.delete(timer)
    now = Math.max(now, timer.at)
    timer.fn()
    await settle()
    return true
  }

  return {
    now: () => now,
    monotonic: () => now - start,
    after(ms, fn) {
      const timer = { at: now + Math.max(0, ms), order: order++, fn }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    soon(fn) {
      soon++
      realSoon(() => {
        soon--
        fn()
      })
    },
    random,
    uid: () => `v${seed.toString(36).padStart(7, '0')}${String(++ids).padStart(12, '0')}`,
    settle,
    advanceToNext,
    async advance(ms) {
      const until = now + ms
      while (await advanceToNext(until));
      now = until
    },
  }
}

// Not time: only a turn of the event loop, so that I/O of the test itself is not starved.
const realSoon = (fn: () => void): void => systemClock.soon(fn)
const turn = (): Promise<void> => new Promise((resolve) => realSoon(resolve))
