// Waiting for something that is stored elsewhere: look, and if there is nothing, look again when told to.
import type { Clock } from '../clock'
import type { Lifetime } from './lifetime'

export interface TakeOrWaitOptions {
  readonly waitMs: number
  /** Looks again after this long although nobody has said so. */
  readonly lookMs?: number
  /** When one of them fires it gives up. */
  readonly signals: readonly (AbortSignal | undefined)[]
  /** Calls back when there may be something; answers how to stop listening. */
  readonly listen: (wake: () => void) => () => void
}

/** What `take` gives, as soon as it gives something; undefined when the time is over. What comes while it looks is not missed. */
export async function takeOrWait<T>(
  lifetime: Lifetime,
  clock: Clock,
  take: () => T | undefined | Promise<T | undefined>,
  { waitMs, lookMs = Infinity, signals, listen }: TakeOrWaitOptions,
): Promise<T | undefined> {
  const until = clock.monotonic() + waitMs
  let woken = false
  let goOn: (() => void) | undefined
  const stop = listen(() => {
    woken = true
    goOn?.()
  })
  try {
    while (!signals.some((signal) => signal?.aborted)) {
      woken = false
      const found = await take()
      if (found !== undefined) return found
      const left = until - clock.monotonic()
      if (left <= 0) break
      if (woken) continue
      await lifetime.wait(Math.min(left, lookMs), signals, (wake) => {
        goOn = wake
        return () => (goOn = undefined)
      })
    }
    return undefined
  } finally {
    stop()
  }
}
