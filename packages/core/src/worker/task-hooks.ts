// Functions that a program hangs into the life of its tasks: `tasks.events.on('taskStarted', …)`. They run in the worker, in the order in which they were added, each
// awaited before the next.
//
//   taskReceived → taskStarted → the function → taskFinished → taskRetry, or emitResult
//
// H1. A TaskVetoError from any of them but emitResult fails the task, which is not tried again, and ends the round: the first veto decides. From taskRetry, too: whoever
//     counts retries may say that it is enough.
// H2. Whatever else they throw is logged and counted, and stops nothing.
// H3. Without handlers a task costs nothing more.
import type { TaskContext } from '../context'
import { TaskError, TaskVetoError } from '../errors'
import type { Logger } from '../logger'

export interface TaskHookEvents {
  /** A worker has the task, and has not looked at its arguments. */
  readonly taskReceived: { readonly context: TaskContext }
  /** Its function is about to be called. */
  readonly taskStarted: { readonly context: TaskContext; readonly args: readonly unknown[] }
  /** An attempt has ended, also one that is tried again. A result may be a pipeline (`isPipeline`). */
  readonly taskFinished: { readonly context: TaskContext } & TaskEnd
  /** It is going to be tried again, as far as the worker knows; `retryCount` counts from 1. */
  readonly taskRetry: { readonly context: TaskContext; readonly error: unknown; readonly retryCount: number }
  /** Its result or error is about to be sent. Not of a task that returned a pipeline, nor of an attempt that is tried again. */
  readonly emitResult: { readonly context: TaskContext } & TaskEnd
}

export type TaskEnd =
  | { readonly result: unknown; readonly isPipeline: boolean; readonly error?: undefined }
  | { readonly error: unknown; readonly isPipeline: false; readonly result?: undefined }

export type TaskHookName = keyof TaskHookEvents
export type TaskHook<Name extends TaskHookName> = (event: TaskHookEvents[Name]) => unknown

const NAMES: readonly TaskHookName[] = ['taskReceived', 'taskStarted', 'taskFinished', 'taskRetry', 'emitResult']

/** Where handlers are added. */
export interface TaskHooks {
  /**
   * Calls `handler` for each task that a worker of this registry runs. Returns how to remove it.
   * @throws TaskError TASKS_ARGUMENTS for an unknown name, or something that is no function
   */
  on<Name extends TaskHookName>(name: Name, handler: TaskHook<Name>): () => void
  /** How often handlers have thrown something that was no veto. */
  readonly failures: number
}

export class TaskHookList implements TaskHooks {
  readonly #handlers = new Map<TaskHookName, readonly TaskHook<never>[]>()
  #failures = 0

  get failures(): number {
    return this.#failures
  }

  /** Whether there is anybody to call. */
  get any(): boolean {
    return this.#handlers.size > 0
  }

  on<Name extends TaskHookName>(name: Name, handler: TaskHook<Name>): () => void {
    if (!NAMES.includes(name))
      throw new TaskError('TASKS_ARGUMENTS', `events.on: there is no "${String(name)}"; known: ${NAMES.join(', ')}`)
    if (typeof handler !== 'function')
      throw new TaskError('TASKS_ARGUMENTS', `events.on: a function is needed for "${name}"`)
    // The same function may be added twice.
    const own = (event: TaskHookEvents[Name]): unknown => handler(event)
    this.#handlers.set(name, [...(this.#handlers.get(name) ?? []), own as TaskHook<never>])
    return () => {
      const left = (this.#handlers.get(name) ?? []).filter((each) => each !== own)
      if (left.length === 0) this.#handlers.delete(name)
      else this.#handlers.set(name, left)
    }
  }

  /** @throws TaskVetoError if one of them says so, and may */
  async call<Name extends TaskHookName>(name: Name, event: TaskHookEvents[Name], logger: Logger): Promise<void> {
    for (const handler of (this.#handlers.get(name) ?? []) as readonly TaskHook<Name>[]) {
      try {
        await handler(event)
      } catch (error) {
        if (TaskVetoError.is(error) && name !== 'emitResult') throw error
        this.#failures++
        logger.error(
          { event: name, task: event.context.taskName, id: event.context.taskId, error },
          'an event handler failed',
        )
      }
    }
  }
}
