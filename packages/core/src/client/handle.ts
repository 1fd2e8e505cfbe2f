// What a client holds of something that it has submitted, or attached to by id. Holding it keeps nothing alive.
import type { PipelineStatus } from '../engine/queries'
import type { PipelineDescription } from '../engine/describe'
import type { CancelOptions } from './commands'
import type { DescribeOptions } from './questions'

export interface WaitOptions {
  /** Rejects with `TASKS_RESULT_TIMEOUT` after this many ms. Default: no limit. Nothing is cancelled by it. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface Progress {
  /** Tasks that ended well. */
  readonly done: number
  /** Tasks known so far; grows when a task returns a pipeline. */
  readonly total: number
}

export interface PipelineHandle<Out> {
  readonly id: string
  /**
   * Waits for the end of the run.
   * @throws TaskError the failure of the task that failed the run, with its name, id, attempt and the worker's stack; `TASKS_CANCELLED`;
   *   `TASKS_ID_CONFLICT` if the id belongs to another definition; `TASKS_RESULT_TIMEOUT`
   */
  result(options?: WaitOptions): Promise<Out>
  /**
   * Where the run stands; `PENDING` if no owner has taken it yet.
   * @throws TaskError TASKS_NOT_FOUND if the run was restarted, TASKS_ID_CONFLICT if the id belongs to another definition; TASKS_UNAVAILABLE
   */
  status(): Promise<PipelineStatus>
  /** Where each of its entries stands, as `client.describe(id)`. Throws as `status`. */
  describe(options?: DescribeOptions): Promise<PipelineDescription>
  /** Throws as `status`. */
  progress(): Promise<Progress>
  /** As `client.pause(id)`, and so on: commands are for the run that the id has now. */
  pause(): Promise<void>
  resume(): Promise<void>
  cancel(options?: CancelOptions): Promise<void>
  retry(): Promise<PipelineHandle<Out>>
}

export interface TaskHandle<Out> {
  readonly id: string
  /**
   * Waits for the task's result, by a reply that is best effort: a lone task leaves no row, so a reply that is lost is lost. Ask for
   * `keepResult` where that matters. Available only to the process that enqueued, and only if it asked for it with `reply: true`.
   */
  result(options?: WaitOptions): Promise<Out>
}
