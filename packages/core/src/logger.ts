// Where the program's own log goes. pino fits. Payloads are never logged, URLs only redacted.

export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

function line(level: string, fields: LogFields, message: string): void {
  const text = JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? `${value.name}: ${value.message}` : value,
  )
  process.stderr.write(`[tasks] ${level} ${message}${text === '{}' ? '' : ` ${text}`}\n`)
}

/** Warnings and errors to stderr. */
export const stderrLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields, message) => line('warn', fields, message),
  error: (fields, message) => line('error', fields, message),
}
