import type { Logger } from '../logger'

/** Says nothing: for tests of what goes wrong. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}
