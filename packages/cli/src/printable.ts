// Results hold what JSON does not know (dates, maps, bigints, errors). This is how a terminal and `--json` show them:
// for reading, not to be read back.
import { TaskError } from '@tasks/core'

/** The value as JSON can say it. */
export function printable(value: unknown, above: readonly unknown[] = []): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  if (typeof value !== 'object' || value === null) return value ?? null
  if (above.includes(value)) return '[circular]'
  const inner = (x: unknown): unknown => printable(x, [...above, value])
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (value instanceof Error) return printableError(value)
  if (value instanceof Map) return Array.from(value, ([key, entry]) => [inner(key), inner(entry)])
  if (value instanceof Set) return Array.from(value, inner)
  if (Array.isArray(value)) return value.map(inner)
  if (value instanceof ArrayBuffer) return { base64: Buffer.from(value).toString('base64') }
  if (value instanceof Uint8Array)
    return { base64: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, inner)
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, x]) => x !== undefined)
      .map(([key, x]) => [key, inner(x)]),
  )
}

export interface PrintableError {
  readonly code?: string
  readonly name: string
  readonly message: string
  readonly task?: unknown
  readonly errors?: readonly PrintableError[]
  readonly errorCount?: number
  readonly index?: number
  readonly details?: unknown
  readonly stack?: string
  readonly cause?: PrintableError
}

/** An error with what is known of it. Stacks only of tasks: ours would tell a user nothing. */
export function printableError(error: unknown): PrintableError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) }
  const { name, message, cause } = error
  const shown = { name, message, ...(cause instanceof Error ? { cause: printableError(cause) } : {}) }
  if (!TaskError.is(error)) return shown
  const { code, task, errors, errorCount, index, details, stack } = error
  return {
    code,
    ...shown,
    ...(task === undefined ? {} : { task, ...(stack === undefined ? {} : { stack }) }),
    ...(errors === undefined ? {} : { errors: errors.map(printableError) }),
    ...(errorCount === undefined ? {} : { errorCount }),
    ...(index === undefined ? {} : { index }),
    ...(details === undefined ? {} : { details: printable(details) }),
  }
}
