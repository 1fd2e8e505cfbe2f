import { TaskError } from '@tasks/core'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * `500ms`, `30s`, `5m`, `2h`, `1d`; a bare number is milliseconds.
 * @throws TaskError TASKS_OPTIONS naming the flag
 */
export function parseDuration(flag: string, text: string): number {
  const [, number, unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? []
  if (number === undefined)
    throw new TaskError('TASKS_OPTIONS', `${flag} must be a duration like 500ms, 30s or 5m, not "${text}"`)
  return Math.round(Number(number) * UNITS[unit]!)
}

export function showDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  return minutes < 60
    ? `${minutes} min ${Math.round((ms % 60_000) / 1_000)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
