// What the reducer takes.
import type { RowKey } from '../transport'
import type { Value } from '../value'
import type { InboxBody } from '../wire/inbox-message'
import type { Dispatch } from './draft'
import type { Joined } from './fan-in'
import type { FailedPage } from './retried'
import type { JobRow, TimerRow, WindowItem } from './rows'

/** Everything that is folded: what came in, and what the owner says to itself. */
export type Input =
  | InboxBody
  | { readonly type: 'timer'; readonly key: RowKey; readonly timer: TimerRow }
  | { readonly type: 'pump'; readonly job: JobRow & { kind: 'pump' }; readonly count: number }
  | { readonly type: 'joined'; readonly job: JobRow; readonly joined: Joined }
  /** What is left of this window is to be sent again. */
  | { readonly type: 'resend'; readonly items: readonly WindowItem[] }
  /** An inbox message that could not be read. */
  | { readonly type: 'undecodable'; readonly error: unknown }
  /** Handed to this process and not started: through the shared queue instead. */
  | { readonly type: 'requeue'; readonly dispatches: readonly Dispatch[] }
  /** The pipeline goes on: these entries were held; `done` if they were the last. */
  | { readonly type: 'released'; readonly job: JobRow; readonly paths: readonly string[]; readonly done: boolean }
  /** These chains of a cancelled pipeline have a finally. */
  | { readonly type: 'finals'; readonly job: JobRow; readonly bases: readonly string[]; readonly done: boolean }
  /** Some failed chains of a group of a pipeline that is retried; none: there are no more. */
  | { readonly type: 'reopened'; readonly job: JobRow; readonly page: FailedPage | undefined }
  /** What no commit can take, of what the owner says to itself: what it is for fails. */
  | { readonly type: 'refused'; readonly input: Input; readonly failure: Value }
  /** Nor this: the run that it is for fails. */
  | { readonly type: 'abandoned'; readonly input: Input; readonly failure: Value }
  /** A page of those who wait at an address is looked at for an event; `done` if it was the last. */
  | {
      readonly type: 'woken'
      readonly job: JobRow & { kind: 'wake' }
      readonly waiters: readonly RowKey[]
      readonly done: boolean
    }
  /** A page of the events that are kept at an address is looked at for a waiter. */
  | {
      readonly type: 'sought'
      readonly job: JobRow & { kind: 'seek' }
      readonly events: readonly number[]
      readonly done: boolean
    }
  /** These rows of a run that is over are to go; `done` if they were the last. */
  | {
      readonly type: 'cleaned'
      readonly job: JobRow & { kind: 'clean' }
      readonly keys: readonly RowKey[]
      readonly done: boolean
    }
