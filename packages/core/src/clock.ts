// Time and chance, injected. No other file of core reads a clock, sets a timer or draws a random number: that is what lets
// a test run a week of retries in milliseconds, and a simulation replay a failure from its seed.
import { randomFillSync } from 'node:crypto'

export interface Clock {
  /** Milliseconds since the epoch. May jump; the engine never goes back with it. */
  now(): number
  /** Milliseconds from some point on; never jumps. For durations. */
  monotonic(): number
  /** Calls `fn` after at least `ms` milliseconds; returns how to cancel. Does not keep the process alive if `unref`. */
  after(ms: number, fn: () => void, options?: { readonly unref?: boolean }): () => void
  /** Calls `fn` in a later turn of the event loop, after pending I/O. */
  soon(fn: () => void): void
  /** Uniform in [0, 1). */
  random(): number
  /** 20 characters of `[0-9A-Za-z]`, 119 bits: unique for all practical purposes. */
  uid(): string
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const UID_LENGTH = 20

// Random bytes are drawn, and made letters, in pages: one system call for some four hundred ids.
const letterCodes = Buffer.from(ALPHABET, 'latin1')
const page = Buffer.allocUnsafeSlow(8192)
let pageEnd = 0
let pageAt = 0

function uid(): string {
  if (pageAt + UID_LENGTH > pageEnd) turnPage()
  return page.toString('latin1', pageAt, (pageAt += UID_LENGTH))
}

function turnPage(): void {
  randomFillSync(page)
  pageAt = 0
  pageEnd = 0
  for (const byte of page) {
    // 62 does not divide 256: bytes of the incomplete last run are dropped, so that every character is as likely.
    if (byte < 248) page[pageEnd++] = letterCodes[byte % 62]!
  }
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fn, options) {
    // Node fires a delay above 2^31-1 at once: sleep in pieces.
    const MAX = 0x7fff_ffff
    let handle: NodeJS.Timeout
    const arm = (left: number): void => {
      handle = left > MAX ? setTimeout(() => arm(left - MAX), MAX) : setTimeout(fn, left)
      if (options?.unref) handle.unref()
    }
    arm(ms)
    return () => clearTimeout(handle)
  },
  soon: (fn) => void setImmediate(fn),
  random: () => Math.random(),
  uid,
}

/** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = (): void => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(ms, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}

/** Resolves when `work` has settled, or after `ms`; false if it was not done by then. Never rejects. */
export async function waitAtMost(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  let cancel: () => void = () => undefined
  const late = new Promise<boolean>((resolve) => (cancel = clock.after(ms, () => resolve(false))))
  const done = work.then(
    () => true,
    () => true,
  )
  const isDone = await Promise.race([done, late])
  cancel()
  return isDone
}
