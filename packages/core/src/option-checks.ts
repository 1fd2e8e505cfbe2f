// Checks of options that several calls share. Each names the option and the value.
import { TaskError } from './errors'
import type { Transport } from './transport'

export function checkKeys(call: string, given: object, known: readonly string[]): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key))
      throw new TaskError('TASKS_OPTIONS', `${call}: there is no option "${key}"; known: ${known.join(', ')}`)
  }
}

/** As `checkKeys`, of options that may be anything. */
export function checkOptions(call: string, given: unknown, known: readonly string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw badOption(`${call}: options`, 'an object', given)
  checkKeys(call, given, known)
}

export function checkMs(name: string, value: unknown): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw badOption(name, 'a finite number of milliseconds of at least 0', value)
}

export function checkCount(name: string, value: unknown, most: number): void {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > most)
    throw badOption(name, `an integer from 1 to ${most}`, value)
}

export function checkFlag(name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw badOption(name, 'true or false', value)
}

/** What callers make themselves: a codec, a logger, a clock, a signal. */
export function checkMethods(name: string, value: unknown, methods: readonly string[]): void {
  const has = (method: string): boolean => typeof (value as Record<string, unknown>)[method] === 'function'
  if (typeof value !== 'object' || value === null || !methods.every(has))
    throw badOption(name, `an object with the functions ${methods.join(', ')}`, value)
}

/** What workers and clients take alike. */
export function checkParts({ codec, logger, clock }: { codec?: unknown; logger?: unknown; clock?: unknown }): void {
  if (codec !== undefined) checkMethods('codec', codec, ['encode', 'decode'])
  if (logger !== undefined) checkMethods('logger', logger, ['debug', 'info', 'warn', 'error'])
  if (clock !== undefined) checkMethods('clock', clock, ['now', 'monotonic', 'after', 'uid', 'random'])
}

export function checkTransport(value: unknown): void {
  if (value === undefined || typeof value === 'string') return
  if (typeof value === 'object' && value !== null && typeof (value as Transport).open === 'function') return
  throw badOption('transport', 'a URL or a transport', value)
}

export function badOption(name: string, wanted: string, value: unknown): TaskError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return new TaskError('TASKS_OPTIONS', `${name} must be ${wanted}, not ${shown}`)
}
