import type { Clock } from '../../src/clock'

export interface ManualClock extends Clock {
  /** Moves time on, timer by timer; what each of them set off has come to rest before the next. */
  advance(ms: number): Promise<void>
  /** Lets everything that needs no time come to rest. */
  settle(): Promise<void>
}

/** A clock that stands still until it is told. Random numbers come from the seed. */
export function manualClock(seed = 1): ManualClock {
  let now = 1_000_000
  let ids = 0
  let state = seed >>> 0
  const timers = new Set<{ readonly at: number; readonly fn: () => void }>()
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    now: () => now,
    monotonic: () => now - 1_000_000,
    after(ms, fn) {
      const timer = { at: now + Math.max(0, ms), fn }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    soon: (fn) => void setImmediate(fn),
    random,
    uid: () => `uid${String(++ids).padStart(17, '0')}`,
    settle,
    async advance(ms) {
      const until = now + ms
      await settle()
      for (;;) {
        let next: { readonly at: number; readonly fn: () => void } | undefined
        for (const timer of timers) if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer
        if (next === undefined) break
        timers.delete(next)
        now = Math.max(now, next.at)
        next.fn()
        await settle()
      }
      now = until
    },
  }
}
