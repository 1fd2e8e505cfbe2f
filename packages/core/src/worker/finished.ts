// What became of a task that ran.
import type { Bytes } from '../transport'
import type { Value } from '../value'
import type { PassedEntry, Verdict } from '../wire/inbox-message'
import type { TaskMessage } from '../wire/task-message'

/** How a task ended. */
export interface Finished {
  readonly value: Value
  /** Present if the value is a failure. */
  readonly verdict?: Verdict
  /** What the task has set of the pipeline's state. */
  readonly state?: Bytes | undefined
  /** If it is that of another entry, which ran with this one: its name, and those that were passed on the way there. */
  readonly last?: { readonly at: Pick<TaskMessage, 'path' | 'attempt'>; readonly passed: readonly PassedEntry[] }
}

/** It has no outcome: the transport did not take its value, or did not give its arguments. */
export const UNFINISHED = Symbol('unfinished')
