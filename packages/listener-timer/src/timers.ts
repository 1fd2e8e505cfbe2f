// Times that pipelines wait for. A wait is a row of the pipeline's partition, as `sleepUntil` makes it: it needs no process while it lasts, and survives all of them.
//
//   at      ─────────────► sleepUntil(time) ─► fired
//   after   begun ─► …     sleepUntil(time) ─► fired
//   cron    begun ─► …     sleepUntil(time) ─► fired
//
// `begun` runs when the entry is reached, and its outcome is committed: from then on the time stands, whoever dies. `fired` gives it as the event.
import {
  sleepUntil,
  taskContext,
  TaskError,
  type BoundListener,
  type Pipeline,
  type Task,
  type Tasks,
} from '@tasks/core'
import { crontab, type CrontabOptions } from './crontab'

export interface TimersOptions {
  /** Its queue, and what its tasks begin with: nothing of it takes long. Default `timer`. */
  readonly name?: string
}

export interface CronOptions extends CrontabOptions {
  /**
   * The tick that was handled last: this wait is for the next one. If that is over already, it fires at once, and once for all that were missed. Default: now, when the
   * wait is reached.
   */
  readonly after?: Date | number
}

/** Each gives the time for which it was set, in ms since the epoch. */
export interface Timers {
  /** At a time; at once if that is over. */
  readonly at: BoundListener<[time: Date | number], number>
  /** After so many ms, counted from when the pipeline gets there. */
  readonly after: BoundListener<[ms: number], number>
  /** At the next tick of a crontab, counted from when the pipeline gets there. */
  readonly cron: BoundListener<[expression: string, options?: CronOptions], number>
  /** As `at`, at the time that the entry before has computed: `.continueWith(timers.until)`. */
  readonly until: Task<[time: Date | number], Pipeline<number>>
  /** As `after`, for the ms that the entry before has computed. */
  readonly delay: Task<[ms: number], Pipeline<number>>
}

/** What a Date can hold. */
const MAX_TIME = 8.64e15
const RETRY = { maxRetries: 20, delayMs: 1_000 }

/**
 * Binds the timers to a registry: its workers set them, and no process waits for them.
 * @throws TaskError TASKS_DUPLICATE_TASK if it has timers of this name, TASKS_ID_INVALID
 */
export function bindTimers(tasks: Pick<Tasks, 'bind'>, { name = 'timer' }: TimersOptions = {}): Timers {
  const options = { queue: name, retry: RETRY }
  const fired = tasks.bind(`${name}:fired`, (due: number) => due, options)
  const firedAt = (due: number): Pipeline<number> => sleepUntil(due).continueWith(fired.send(due))
  const until = tasks.bind(`${name}:until`, (time: Date | number) => firedAt(checkTime(time)), options)
  const delay = tasks.bind(
    `${name}:delay`,
    (ms: number) => firedAt(taskContext().now() + Math.ceil(checkMs(ms))),
    options,
  )
  const tick = tasks.bind(
    `${name}:cron`,
    (expression: string, timeZone: string, after: number | null) => {
      const now = taskContext().now()
      const table = crontab(expression, { timeZone })
      const due = after === null ? table.next(now) : (table.last(after, now) ?? table.next(Math.max(after, now)))
      return firedAt(due.getTime())
    },
    options,
  )
  return {
    at: { listenerName: `${name}.at`, wait: (time) => firedAt(checkTime(time)) },
    after: { listenerName: `${name}.after`, wait: (ms) => delay.send(checkMs(ms)) },
    cron: {
      listenerName: `${name}.cron`,
      wait(expression, { timeZone, after } = {}) {
        // A mistake in it is found here and now.
        const table = crontab(expression, timeZone === undefined ? {} : { timeZone })
        return tick.send(expression, table.timeZone, after === undefined ? null : checkTime(after))
      },
    },
    until,
    delay,
  }
}

// The code is one that is not tried again: what is wrong stays wrong.
function checkTime(time: unknown): number {
  const ms = time instanceof Date || typeof time === 'number' ? Number(time) : NaN
  if (Math.abs(ms) <= MAX_TIME) return Math.ceil(ms)
  throw new TaskError('TASKS_ARGUMENTS', `a timer needs a Date or ms since the epoch, not ${String(time)}`)
}

function checkMs(ms: unknown): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= MAX_TIME) return ms
  throw new TaskError('TASKS_ARGUMENTS', `a timer needs ms of at least 0, not ${String(ms)}`)
}
