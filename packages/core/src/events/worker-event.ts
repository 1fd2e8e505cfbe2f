// What workers say of the tasks that they run: Huey's fourteen consumer events, under names and units of ours. `hueyEvent` gives them Huey's.
//
//   started → finished
//   started → error-task → retrying → (scheduled →) started → …
//   started → error-storing-result
//
// The first `scheduled` is that of a task which was sent with a delay. Best effort, unless a worker was asked for more: see worker/announcer.ts.
import type { CloudEvent } from './cloud-event'

export type WorkerEventType = keyof WorkerEvents

export type WorkerEvent = { [Type in WorkerEventType]: CloudEvent<Type, WorkerEvents[Type]> }[WorkerEventType]

/** Times are those of the events themselves. Of a task: `subject` is its id. */
export interface WorkerEvents {
  /** For periodic tasks, which there are none of yet. */
  'dev.tasks.worker.checking-periodic': Record<never, never>
  /** The same. */
  'dev.tasks.worker.scheduling-periodic': WorkerTask
  /** It waits for its time, in a row: because it was sent with a delay, or before it is tried again. */
  'dev.tasks.worker.scheduled': WorkerTask
  /** A worker has it, and has called neither a hook nor its function. */
  'dev.tasks.worker.started': WorkerTask
  /** It has returned, and what it returned is safe to hand on. That its pipeline has it is `dev.tasks.task.completed`. */
  'dev.tasks.worker.finished': WorkerTask & TaskDuration
  /** It has thrown, or was vetoed. */
  'dev.tasks.worker.error-task': WorkerTask & TaskDuration & TracedError
  /** It is going to be tried again: `retries` counts this one as used. */
  'dev.tasks.worker.retrying': WorkerTask
  /** Its pipeline was cancelled before it had started: it never does. */
  'dev.tasks.worker.revoked': WorkerTask
  /** For locks, which there are none of yet. */
  'dev.tasks.worker.locked': WorkerTask & TaskDuration
  /** The worker could not receive, or not read what it had received; it tries on. */
  'dev.tasks.worker.error-dequeueing': TracedError
  /** The commit that was to send it may have failed: the partition's next owner sends it. */
  'dev.tasks.worker.error-enqueueing': WorkerTask & TracedError
  /** The worker's own trouble: a task whose arguments could not be fetched, which is left for others; or, of no task, outcomes that are sent again. */
  'dev.tasks.worker.error-internal': (WorkerTask | Record<never, never>) & TracedError
  /** The commit that was to let it wait may have failed: the partition's next owner does it again. */
  'dev.tasks.worker.error-scheduling': WorkerTask & TracedError
  /** It has returned something that could not be encoded, or not be stored. */
  'dev.tasks.worker.error-storing-result': WorkerTask & TaskDuration & TracedError
}

export interface WorkerTask {
  readonly task: string
  readonly attempt: number
  /** How often it may be tried again after this attempt. */
  readonly retries: number
  /** What its policy waits before the first retry. */
  readonly retryDelayMs: number
  /** Of `scheduled`: when it is due, ms since the epoch. */
  readonly executeAt: number | null
}

export interface TaskDuration {
  readonly durationMs: number
}

export interface TracedError {
  readonly error: { readonly code: string; readonly name: string; readonly message: string }
  readonly traceback: string
}

/** Of each type, behind the beginning that all of them have. */
export const WORKER_EVENTS = 'dev.tasks.worker.'
