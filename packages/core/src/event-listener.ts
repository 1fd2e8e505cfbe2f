// Events of somebody else's: a queue of another system, a mailbox, a device. A listener knows how to wait for one there; a pipeline waits with it as for any event.
//
//   pollForEvent → the event is committed to the pipeline → eventCheckpointed → what comes next
//
// L1. What `pollForEvent` returned is polled again until it is committed, and not after that, except by a message that was delivered late: the pipeline sees exactly one
//     event, and one that nobody waits for any more is not acknowledged.
// L2. `eventCheckpointed` is called after the commit, at least once, possibly in another process: it must not mind a repeat, nor an event that its source has forgotten.
// L3. When it ends is decided once in a run, in a step of its own whose result is committed: neither a retry nor the death of a worker begins the time anew.
// L4. Listeners keep nothing: each call may be in another process. Workers poll on slots of their own (`listenerSlots`), so a long poll holds up no task, and
//     nothing that is short waits for those slots.
import { taskContext } from './context'
import { TaskError } from './errors'
import { checkQueueName } from './ids'
import { badOption, checkOptions } from './option-checks'
import type { Pipeline, Task } from './pipeline'
import type { RetryPolicy } from './retry'
import type { AnyTask, Tasks } from './tasks'
import type { BoundListener, WaitForEventOptions } from './wait-for-event'

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
  /**
   * How long an entry waits, whoever polls, before it fails with TASKS_TIMEOUT, which `exceptionally` can take, unless `set` says otherwise of it. Default: no
   * limit.
   */
  readonly timeoutMs?: number
  /** For what its functions throw. Default: twenty times, with growing pauses. */
  readonly retry?: Omit<RetryPolicy, 'retryFor'>
}

/** A listener whose waits can differ from how it was bound: `waitForEvent(orders.set({ timeoutMs: 60_000 }), 'eu')`. */
export interface TimedListener<in Args extends readonly unknown[], out Event> extends BoundListener<Args, Event> {
  /**
   * The same listener, which is waited for no longer than that.
   * @throws TaskError TASKS_OPTIONS
   */
  set(options: WaitForEventOptions): TimedListener<Args, Event>
}

/** Until when this run waits, and for how long; null: for ever. */
type Limit = { readonly at: number; readonly run: string; readonly ms: number } | null

/** What queues of polls begin with. */
export const LISTEN_QUEUES = 'listen:'
/** What queues begin with for the rest of what a listener does: it is short, and takes slots of tasks. */
const HEARD_QUEUES = 'heard:'

const RETRY: RetryPolicy = { maxRetries: 20, delayMs: 1_000 }

/** Binds a listener: as tasks of the registry, one for each of its functions, and one that says when its time is over. */
export function bindListener<Args extends readonly unknown[], Event>(
  tasks: Pick<Tasks, 'bind'>,
  name: string,
  listener: EventListener<Args, Event>,
  options: ListenerOptions = {},
): TimedListener<Args, Event> {
  checkOptions('bindListener', options, ['timeoutMs', 'retry'])
  if (typeof listener?.pollForEvent !== 'function')
    throw new TaskError(
      'TASKS_ARGUMENTS',
      `bindListener: "${name}" needs an object with pollForEvent(…args, { signal })`,
    )
  const taskName = checkQueueName(LISTEN_QUEUES + name)
  const heard = HEARD_QUEUES + name
  const { retry = RETRY } = options
  const poll = async (limit: Limit, ...args: readonly unknown[]): Promise<Event | Pipeline<unknown>> => {
    const { run, signal } = taskContext()
    // A run that is tried again because the one before has failed has its own time, and is told it as that one was.
    if (limit !== null && limit.run !== run) return limited(limit.ms, args)
    return listener.pollForEvent(...([...args, { signal }] as unknown as [...Args, PollOptions]))
  }
  const checkpointed = async (event: Event): Promise<Event> => {
    await listener.eventCheckpointed?.(event)
    return event
  }
  const pollTask = tasks.bind(taskName, poll, {
    queue: taskName,
    // Whoever waited for as long as he was to does not begin again.
    retry: { ...retry, retryFor: (error) => !(TaskError.is(error) && error.code === 'TASKS_TIMEOUT') },
  }) as Task<readonly unknown[], unknown>
  const deadlineOf: AnyTask['deadlineOf'] = ([first], { run }) => {
    const limit = first as Limit
    return limit?.run === run ? limit.at : undefined
  }
  Object.defineProperty(pollTask, 'deadlineOf', { value: deadlineOf })
  const limitOf = (ms: number): Limit => {
    const context = taskContext()
    return { at: context.now() + ms, run: context.run, ms }
  }
  const limitTask = tasks.bind(`${taskName}:limit`, limitOf, { queue: heard })
  const checkpointTask = tasks.bind(`${taskName}:checkpointed`, checkpointed, { queue: heard, retry }) as Task<
    [unknown],
    Event
  >
  const limited = (ms: number, args: readonly unknown[]): Pipeline<unknown> =>
    limitTask.send(ms).continueWith(pollTask.after(...args).set({ timeoutMs: ms }) as Pipeline<unknown, Limit>)
  const waitedFor = (timeoutMs: number | undefined): TimedListener<Args, Event> => {
    if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0))
      throw badOption('timeoutMs', 'a finite number above 0', timeoutMs)
    return {
      listenerName: name,
      wait(...args) {
        const polling = timeoutMs === undefined ? pollTask.send(null, ...args) : limited(timeoutMs, args)
        return polling.continueWith(checkpointTask) as Pipeline<Event>
      },
      set(use) {
        checkOptions('set', use, ['timeoutMs'])
        return waitedFor(use.timeoutMs ?? timeoutMs)
      },
    }
  }
  return waitedFor(options.timeoutMs)
}
