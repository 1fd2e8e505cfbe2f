export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Asks again and again until `attempt` does not throw, and gives what it returned; after `ms`, throws what it threw last. */
export async function eventually<T>(ms: number, attempt: () => T | Promise<T>): Promise<T> {
  const until = performance.now() + ms
  for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 25)) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > until) throw error
    }
    await pause(waitMs)
  }
}

/** What the promise gives, if it settles within `ms`. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not settle within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

const LOOK_MS = 20
const TRIES = 3

/**
 * For what holds as long as processes are let run: plays again if it failed and this process was kept waiting for a good part of a lease meanwhile. A lease that
 * ran out on a busy machine is nobody's fault; one that ran out on an idle one fails at the first try.
 */
export async function undisturbed(leaseMs: number, play: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    let last = performance.now()
    let longestMs = 0
    const timer = setInterval(() => {
      const now = performance.now()
      longestMs = Math.max(longestMs, now - last)
      last = now
    }, LOOK_MS)
    try {
      return await play()
    } catch (error) {
      if (tries === TRIES || longestMs < leaseMs / 4) throw error
    } finally {
      clearInterval(timer)
    }
  }
}
