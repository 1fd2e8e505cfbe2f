// How long something may be used, and how its waits end.
import { setMaxListeners } from 'node:events'
import type { Clock } from '../clock'
import type { TaskError } from '../errors'

export class Lifetime {
  readonly #clock: Clock
  readonly #over = new AbortController()
  // Not listeners of the signal: of those Node 20 warns when there are more than ten.
  readonly #waits = new Set<(reason: TaskError) => void>()

  constructor(clock: Clock) {
    this.#clock = clock
    // Each owned partition waits on it: that many listeners are no leak.
    setMaxListeners(0, this.#over.signal)
  }

  /** Fires with the reason when it is over. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  end(reason: TaskError): void {
    this.#over.abort(reason)
    for (const fail of this.#waits) fail(reason)
  }

  refuseIfOver(): void {
    this.#over.signal.throwIfAborted()
  }

  /**
   * Waits until `listen` calls back: true. False after `ms`, or when one of `signals` fires. Rejects at the end of this lifetime.
   * `listen` answers how to stop listening.
   */
  wait(
    ms: number,
    signals: readonly (AbortSignal | undefined)[],
    listen: (wake: () => void) => () => void,
  ): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const over = this.#over.signal
      if (over.aborted) return reject(over.reason as TaskError)
      if (signals.some((signal) => signal?.aborted)) return resolve(false)
      const stop = (): void => {
        cancel()
        unlisten()
        this.#waits.delete(fail)
        for (const signal of signals) signal?.removeEventListener('abort', giveUp)
      }
      const settle = (woken: boolean): void => {
        stop()
        resolve(woken)
      }
      const giveUp = (): void => settle(false)
      const fail = (reason: TaskError): void => {
        stop()
        reject(reason)
      }
      const cancel = this.#clock.after(ms, giveUp)
      const unlisten = listen(() => settle(true))
      this.#waits.add(fail)
      for (const signal of signals) signal?.addEventListener('abort', giveUp, { once: true })
    })
  }
}
