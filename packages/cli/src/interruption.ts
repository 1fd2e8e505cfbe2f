// SIGINT while a command waits: the wait ends, what was submitted goes on. A second one ends the process as it would
// any other.
import { exitCodes } from './exit-codes'

export class Interruption extends Error {
  readonly exitCode: number

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}; what was submitted goes on`)
    this.name = 'Interruption'
    this.exitCode = signal === 'SIGINT' ? exitCodes.interrupted : 143
  }
}

/** Calls `wait` with a signal that SIGINT and SIGTERM abort, with an `Interruption`. */
export async function interruptible<Result>(wait: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController()
  const onSignal = (signal: NodeJS.Signals): void => {
    stop()
    controller.abort(new Interruption(signal))
  }
  const stop = (): void => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  try {
    return await wait(controller.signal)
  } finally {
    stop()
  }
}
