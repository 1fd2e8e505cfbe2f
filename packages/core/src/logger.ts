// Where the program's own log goes. pino fits. Payloads are never logged, URLs only redacted.

export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

export interface StderrLoggerOptions {
  /** Everything. Default: warnings and errors. */
  readonly verbose?: boolean
}

/** A line to stderr for each call, and below it the stacks of the errors among its fields. It takes any fields: what logs must not fail by it. */
export function stderrLogger({ verbose = false }: StderrLoggerOptions = {}): Logger {
  const line = (level: string) => (fields: LogFields, message: string) => {
    process.stderr.write(`[tasks] ${level} ${message}${shown(fields)}\n`)
  }
  const silent = (): void => undefined
  return {
    debug: verbose ? line('debug') : silent,
    info: verbose ? line('info') : silent,
    warn: line('warn'),
    error: line('error'),
  }
}

function shown(fields: LogFields): string {
  try {
    const errors: Error[] = []
    const text = JSON.stringify(fields, replacer(errors))
    const stacks = errors.map((error) => `\n${traceOf(error)}`.replaceAll('\n', '\n    '))
    return (text === undefined || text === '{}' ? '' : ` ${text}`) + stacks.join('')
  } catch {
    // A getter or a toJSON of the caller's.
    return ' (its fields cannot be shown)'
  }
}

/** @param errors gets those that it meets: of their members only name, message, stack and cause are shown, others may be payloads */
function replacer(errors: Error[]): (this: unknown, key: string, value: unknown) => unknown {
  const ancestors: unknown[] = []
  return function (_, value) {
    if (typeof value === 'bigint') return `${value}n`
    if (typeof value !== 'object' || value === null) return value
    if (value instanceof Error) {
      if (!errors.includes(value)) errors.push(value)
      return nameOf(value)
    }
    // `this` holds the value: what came after it on the way here has been shown.
    while (ancestors.length > 0 && ancestors.at(-1) !== this) ancestors.pop()
    if (ancestors.includes(value)) return '(circular)'
    ancestors.push(value)
    return value
  }
}

const MOST_CAUSES = 10

function traceOf(error: Error): string {
  const traces: string[] = []
  for (let next: unknown = error; next instanceof Error && traces.length < MOST_CAUSES; next = next.cause)
    traces.push(next.stack ?? nameOf(next))
  return traces.join('\ncaused by ')
}

const nameOf = ({ name, message }: Error): string => `${name}: ${message}`
