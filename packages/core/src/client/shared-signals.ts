// Many waits may end by one signal: it is listened to once for all of them. Of more than ten listeners Node warns, as of a leak.
type OnAbort = (reason: unknown) => void

export class SharedSignals {
  readonly #waits = new Map<AbortSignal, Set<OnAbort>>()

  /** Calls back when the signal aborts. Returns how to stop listening; with the last one the signal is let go. */
  on(signal: AbortSignal, onAbort: OnAbort): () => void {
    const known = this.#waits.get(signal)
    const waits = known ?? new Set<OnAbort>()
    waits.add(onAbort)
    if (known === undefined) {
      this.#waits.set(signal, waits)
      signal.addEventListener('abort', this.#onAbort, { once: true })
    }
    return () => {
      waits.delete(onAbort)
      if (waits.size > 0 || this.#waits.get(signal) !== waits) return
      this.#waits.delete(signal)
      signal.removeEventListener('abort', this.#onAbort)
    }
  }

  readonly #onAbort = ({ target }: Event): void => {
    const signal = target as AbortSignal
    const waits = this.#waits.get(signal) ?? []
    this.#waits.delete(signal)
    for (const onAbort of waits) onAbort(signal.reason)
  }
}
