// Events of somebody else's: a queue of another system, a mailbox, a device. A listener knows how to wait for one there; a pipeline waits with it as for any event.
//
//   pollForEvent → the event is committed to the pipeline → eventCheckpointed → what comes next
//
// L1. What `pollForEvent` returned is polled again until it is committed, and never after that: the pipeline sees exactly one event.
// L2. `eventCheckpointed` is called after the commit, at least once, possibly in another process: it must not mind a repeat, nor an event that its source has forgotten.
// L3. When it ends is decided once, in a step of its own whose result is committed: neither a retry nor the death of a worker begins the time anew.
// L4. Listeners keep nothing: each call may be in another process. Workers poll on slots of their own (`listenerSlots`), so a long poll holds up no task.
import { taskContext } from './context'
import { TaskError } from './errors'
import { checkQueueName } from './ids'
import { checkOptions } from './option-checks'
import type { Pipeline, Task } from './pipeline'
import type { RetryPolicy } from './retry'
import type { AnyTask, Tasks } from './tasks'

export interface EventListener<Args extends readonly unknown[] = readonly unknown[], Event = unknown> {
  /**
   * Resolves with an event, when there is one; what it is must be known to its source by `eventCheckpointed` still. Ends when the signal is aborted: the pipeline
   * was cancelled, or this worker stops, and another one polls.
   */
  pollForEvent(...args: readonly [...Args, PollOptions]): Promise<Event>
  /** The event is safe: its source may forget it. */
  eventCheckpointed?(event: NoInfer<Event>): Promise<void> | void
}

export interface PollOptions {
  readonly signal: AbortSignal
}

export interface ListenerOptions {
  /** How long the entry waits, whoever polls, before it fails with TASKS_TIMEOUT, which `exceptionally` can take. Default: no limit. */
  readonly timeoutMs?: number
  /** For what its functions throw. Default: twenty times, with growing pauses. */
  readonly retry?: Omit<RetryPolicy, 'retryFor'>
}

/** A listener that was bound to a name: `waitForEvent(orders, 'eu')`. */
export interface BoundListener<in Args extends readonly unknown[], out Event> {
  readonly listenerName: string
  /** What `waitForEvent` gives for it. */
  wait(...args: Args): Pipeline<Event>
}

/** Until when it is waited for; null: for ever. A run that is tried again because this one has failed has its own time. */
type Limit = { readonly at: number; readonly run: string } | null

/** What queues of listeners begin with. */
export const LISTEN_QUEUES = 'listen:'

const RETRY: RetryPolicy = { maxRetries: 20, delayMs: 1_000 }

/** Binds a listener: as tasks of the registry, one for each of its functions, and one that says when its time is over. */
export function bindListener<Args extends readonly unknown[], Event>(
  tasks: Pick<Tasks, 'bind'>,
  name: string,
  listener: EventListener<Args, Event>,
  options: ListenerOptions = {},
): BoundListener<Args, Event> {
  checkOptions('bindListener', options, ['timeoutMs', 'retry'])
  if (typeof listener?.pollForEvent !== 'function')
    throw new TaskError(
      'TASKS_ARGUMENTS',
      `bindListener: "${name}" needs an object with pollForEvent(…args, { signal })`,
    )
  const queue = checkQueueName(LISTEN_QUEUES + name)
  const { timeoutMs, retry = RETRY } = options
  const poll = async (_: Limit, ...args: readonly unknown[]): Promise<Event> => {
    const { signal } = taskContext()
    return listener.pollForEvent(...([...args, { signal }] as unknown as [...Args, PollOptions]))
  }
  const checkpointed = async (event: Event): Promise<Event> => {
    await listener.eventCheckpointed?.(event)
    return event
  }
  const pollTask = tasks.bind(queue, poll, {
    queue,
    // Whoever waited for as long as he was to does not begin again.
    retry: { ...retry, retryFor: (error) => !(TaskError.is(error) && error.code === 'TASKS_TIMEOUT') },
  }) as Task<readonly unknown[], unknown>
  const deadlineOf: AnyTask['deadlineOf'] = ([first], { run }) => {
    const limit = first as Limit
    return limit?.run === run ? limit.at : undefined
  }
  Object.defineProperty(pollTask, 'deadlineOf', { value: deadlineOf })
  const limitOf = (): Limit => {
    const { deadline, run } = taskContext()
    return { at: deadline!, run }
  }
  const limitTask = tasks.bind(`${queue}:limit`, limitOf, { queue })
  const checkpointTask = tasks.bind(`${queue}:checkpointed`, checkpointed, { queue, retry }) as Task<[unknown], Event>
  const polling = (args: readonly unknown[]): Pipeline<unknown> =>
    timeoutMs === undefined
      ? (pollTask.send(null, ...args) as Pipeline<unknown>)
      : limitTask
          .send()
          .set({ timeoutMs })
          .continueWith(pollTask.after(...args).set({ timeoutMs }) as Pipeline<unknown, Limit>)
  return {
    listenerName: name,
    wait: (...args) => polling(args).continueWith(checkpointTask) as Pipeline<Event>,
  }
}

export function isListener(x: unknown): x is BoundListener<readonly unknown[], unknown> {
  return (
    typeof x === 'object' && x !== null && 'listenerName' in x && typeof (x as { wait?: unknown }).wait === 'function'
  )
}
