// What a task can know of itself while it runs, without being passed anything: so that tasks stay plain functions.
import { AsyncLocalStorage } from 'node:async_hooks'
import { TaskError } from './errors'
import type { SendEventOptions } from './events/sent-event'
import type { Logger } from './logger'

/**
 * The state of the pipeline that a task is part of: values that all its tasks share, beside the results that they pass on. It begins with what
 * `withInitial` gave. What a task sets is kept when it has ended well; of an attempt that fails, nothing is. Chains of a group do not see what the
 * others set: it is merged when the group has ended well, and two different values of one key fail it (in Flink Tasks the first one wins).
 */
export interface TaskState<State extends object = Record<string, unknown>> {
  /** What an entry before this one, or this task, has set last; undefined if nobody has. */
  get<Key extends keyof State>(key: Key): State[Key] | undefined
  /** All of it, as it is now. */
  get(): Readonly<Partial<State>>
  /**
   * @param value what the codec can encode; undefined takes the key away
   * @throws TaskError TASKS_ARGUMENTS for a bad key, TASKS_UNENCODABLE, TASKS_VALUE_TOO_LARGE if all of it would not fit into a message
   */
  set<Key extends keyof State>(key: Key, value: State[Key] | undefined): void
}

export interface TaskContext<State extends object = Record<string, unknown>> {
  /** The task's name, as it was bound. */
  readonly taskName: string
  /** What `set({ taskId })` named this entry, else the pipeline's id and the entry's path. Equal over retries and runs. */
  readonly taskId: string
  /** The pipeline that the entry is part of; a lone task's own id. A pipeline that a task returned has an id of its own. */
  readonly pipelineId: string
  /** The pipeline that was submitted. */
  readonly rootId: string
  /** The pipeline whose task returned this one; undefined at the root. */
  readonly parentId: string | undefined
  /** The run of the root. An id that is submitted again after its retention, or restarted, has a new run. */
  readonly run: string
  /** Counts from 1. */
  readonly attempt: number
  /** Ms since the epoch, by the clock of the worker: which jumps where a test has a virtual one. */
  now(): number
  /** Ms since the epoch at which the task times out; undefined without `timeoutMs`. */
  readonly deadline: number | undefined
  /**
   * Aborts when the task times out, when its pipeline is cancelled, or when its worker stops before the task has ended. Made when first asked for.
   */
  readonly signal: AbortSignal
  readonly logger: Logger
  /**
   * Says how far the task is: shown by `status()`, after a while (a third of a lease), while the task runs. Costs nothing until then.
   * @param fraction from 0 to 1
   * @param note for people; at most 200 characters are kept
   */
  progress(fraction: number, note?: string): void
  /** What was submitted as `meta`, with the pipeline that this one is part of. */
  readonly meta: Readonly<Record<string, unknown>>
  /** The W3C trace context that the pipeline was submitted with, as `meta.traceparent`: to go on with the trace. */
  readonly traceparent: string | undefined
  /** For calls to others that must have effect once: equal over retries and deliveries of this entry, different for another run. */
  readonly idempotencyKey: string
  /**
   * Sends an event, as `client.sendEvent`; resolves when it is durable. Without an `id` it gets one that is the same in every attempt, if the task sends its events
   * in the same order: what is sent again has no effect.
   */
  sendEvent(event: SendEventOptions): Promise<string>
  /** The pipeline's state. A pipeline that a task returned has one of its own, unless it is `inline`. */
  readonly state: TaskState<State>
}

const storage = new AsyncLocalStorage<TaskContext>()

/**
 * The context of the task that is running: `taskContext<{ count: number }>().state.get('count')` says what the pipeline's state is like.
 * @throws TaskError TASKS_NO_CONTEXT outside of a task; in a test, use `withTaskContext` of `@tasks/core/testing`.
 */
export function taskContext<State extends object = Record<string, unknown>>(): TaskContext<State> {
  const context = storage.getStore()
  if (context === undefined) {
    throw new TaskError(
      'TASKS_NO_CONTEXT',
      'taskContext() was called outside of a task; in a test, call the task inside withTaskContext() of @tasks/core/testing',
    )
  }
  return context as TaskContext<object> as TaskContext<State>
}

/** Runs `fn` with this context. */
export function runInContext<Args extends unknown[], R>(
  context: TaskContext,
  fn: (...args: Args) => R,
  ...args: Args
): R {
  return storage.run(context, fn, ...args)
}
