// When a crontab fires. The calendar is croner's; what is said here is which expressions are a crontab, and what a time zone is by default.
import { TaskError } from '@tasks/core'
import { Cron } from 'croner'

export interface CrontabOptions {
  /** An IANA name: `Europe/Berlin`. Default `UTC`: which machine asks must not matter. */
  readonly timeZone?: string
}

export interface Crontab {
  readonly expression: string
  readonly timeZone: string
  /** The first tick after this time. */
  next(after: Date | number): Date
  /** The last tick after `after` that is over by `now`; undefined if there is none. */
  last(after: Date | number, now: Date | number): Date | undefined
}

// As cron has had them since Vixie: numbers or names, ranges, steps, lists. What libraries add to that (seconds, L, W, #, ?) differs between them.
const VALUE = '(?:\\d{1,2}|[a-z]{3})'
const PART = `(?:\\*|${VALUE}-${VALUE})(?:/\\d{1,2})?|${VALUE}`
const FIELD = new RegExp(`^(?:${PART})(?:,(?:${PART}))*$`, 'i')

const MINUTE_MS = 60_000

/**
 * @param expression five fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday). If neither of the days
 * begins with a star, either will do; else both must fit, as in Vixie's cron: a star by two with `mon` is each Monday of an odd date
 * @throws TaskError TASKS_ARGUMENTS if it is no crontab, or fires never; for an unknown time zone
 */
export function crontab(expression: string, options: CrontabOptions = {}): Crontab {
  const { timeZone = 'UTC' } = options
  const flaw = (why: string, cause?: unknown): TaskError =>
    new TaskError('TASKS_ARGUMENTS', `crontab ${JSON.stringify(expression)}: ${why}`, { cause })
  const fields = typeof expression === 'string' ? expression.trim().split(/\s+/) : []
  if (fields.length !== 5) throw flaw('five fields are needed: minute, hour, day of the month, month, day of the week')
  const bad = fields.find((field) => !FIELD.test(field))
  if (bad !== undefined) throw flaw(`"${bad}" is no list of numbers, names, ranges and steps`)
  checkTimeZone(timeZone)
  const [, , dayOfMonth, , dayOfWeek] = fields as [string, string, string, string, string]
  let cron: Cron
  try {
    cron = new Cron(fields.join(' '), {
      timezone: timeZone,
      mode: '5-part',
      domAndDow: dayOfMonth.startsWith('*') || dayOfWeek.startsWith('*'),
      // Lists and ranges of times, too, come once a day, whatever clocks do.
      fixedTimeRule: 'no-wildcard',
    })
  } catch (cause) {
    throw flaw(cause instanceof Error ? cause.message : String(cause), cause)
  }
  const nextOrNever = (after: number): number | undefined => cron.nextRun(new Date(after))?.getTime()
  if (nextOrNever(Date.UTC(2000, 0)) === undefined) throw flaw('there is no such day')
  return {
    expression,
    timeZone,
    next(after) {
      const tick = nextOrNever(Number(after))
      if (tick === undefined) throw flaw(`it does not fire after ${new Date(after).toISOString()}`)
      return new Date(tick)
    },
    last(after, now) {
      const [from, until] = [Number(after), Number(now)]
      // Back from now, twice as far each time: ticks that nobody asked for are not counted.
      for (let back = MINUTE_MS; ; back *= 2) {
        const start = Math.max(from, until - back)
        let tick = nextOrNever(start)
        if (tick !== undefined && tick <= until) {
          for (let next = nextOrNever(tick); next !== undefined && next <= until; next = nextOrNever(tick)) tick = next
          return new Date(tick)
        }
        if (start === from) return undefined
      }
    },
  }
}

function checkTimeZone(timeZone: unknown): void {
  try {
    if (typeof timeZone === 'string' && Intl.DateTimeFormat(undefined, { timeZone })) return
  } catch {
    // Said below.
  }
  throw new TaskError('TASKS_ARGUMENTS', `there is no time zone ${JSON.stringify(timeZone)}: give an IANA name`)
}
