// Checks of options that several calls share. Each names the option and the value.
import { TaskError } from './errors'
import type { Transport } from './transport'

export function checkKeys(call: string, given: object, known: readonly string[]): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key))
      throw new TaskError('TASKS_OPTIONS', `${call}: there is no option "${key}"; known: ${known.join(', ')}`)
  }
}

export function checkMs(name: string, value: unknown): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw badOption(name, 'a finite number of milliseconds of at least 0', value)
}

export function checkCount(name: string, value: unknown, most: number): void {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > most)
    throw badOption(name, `an integer from 1 to ${most}`, value)
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
