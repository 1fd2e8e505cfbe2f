import type { RetryPolicy } from './retry'
import type { StandardSchema } from './schema'

/** Of a task that names none. */
export const DEFAULT_QUEUE = 'default'

export interface TaskOptions<Args extends readonly unknown[] = readonly unknown[]> {
  /** Default: that of the registry; else no retries. */
  readonly retry?: RetryPolicy
  /** Milliseconds from the start of the function, for each attempt. Default: none. */
  readonly timeoutMs?: number
  /** Which workers run it: those that serve this queue. Default `default`. */
  readonly queue?: string
  /** Names that it had before: what was sent under them still finds it. */
  readonly aliases?: readonly string[]
  /** A schema for each argument, in order; checked in the worker before the function runs. `undefined` leaves one out. */
  readonly inputs?: { readonly [K in keyof Args]?: StandardSchema<unknown, Args[K]> | undefined }
  /**
   * False for a pure, cheap task. The task that follows it in its chain, in the same queue, is then run with it, by the same worker at once; what is passed on between
   * them is stored nowhere, however large it is, unless the second one fails, or sets of the pipeline's state. If their process dies both run again. Default true.
   */
  readonly checkpoint?: boolean
  /**
   * False for a task that hands its arguments on in a message of its own: what is too large for one, 32 KiB, is then refused where it is sent, with
   * TASKS_VALUE_TOO_LARGE, instead of being stored apart. Default true.
   */
  readonly largeArguments?: boolean
  /** A schema of the pipeline's state, a plain object; checked in the worker before the function runs. What it makes of the state is not taken. */
  readonly state?: StandardSchema<unknown, object>
  /** For drawings and logs. Default: the name. */
  readonly displayName?: string
}
