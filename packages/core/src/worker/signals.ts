// SIGTERM and SIGINT close a worker; whoever cannot wait sends a second one.
import type { Logger } from '../logger'

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/** Calls `close` on the first signal and exits on the second. Returns how to stop listening. */
export function drainOnSignals(close: () => Promise<void>, logger: Logger): () => void {
  let signals = 0
  const onSignal = (signal: NodeJS.Signals): void => {
    signals++
    if (signals > 1) {
      logger.warn({ signal }, 'a second signal: exiting at once')
      // The number that a shell gives to a program that a signal ended.
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
    logger.info({ signal }, 'closing: running tasks are waited for; a second signal exits at once')
    void close().then(
      () => stop(),
      (error: unknown) => {
        logger.error({ error }, 'closing failed')
        process.exit(1)
      },
    )
  }
  const stop = (): void => {
    for (const signal of SIGNALS) process.removeListener(signal, onSignal)
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  // The close that a signal began must not stop listening for the second.
  return () => {
    if (signals === 0) stop()
  }
}
