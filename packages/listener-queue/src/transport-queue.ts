// Messages on a queue of the transport itself. A message is a lone task, whose function hands it to one of the pipelines that wait, as an event; it is acknowledged when
// the event is durable. The event has the id of the message: one that is handed out again has no effect.
import {
  taskContext,
  waitForEvent,
  type Task,
  type Tasks,
  type TimedListener,
  type WaitForEventOptions,
} from '@tasks/core'

export interface TransportQueueOptions {
  /** How long a message is kept that nobody waits for, in ms. Default 7 days. */
  readonly keepMs?: number
}

export interface TransportQueue<Value> extends TimedListener<[], Value> {
  /** What sends a message: `client.enqueue(orders.message, value)`. One of more than 32 KiB is refused with TASKS_VALUE_TOO_LARGE. */
  readonly message: Task<[value: Value], Promise<void>>
}

const RETRY = { maxRetries: 20, delayMs: 1_000 }

/**
 * A queue of this name, and how pipelines wait for its messages: `waitForEvent(orders)`. Each message goes to one of them.
 * @throws TaskError TASKS_DUPLICATE_TASK, TASKS_ID_INVALID
 */
export function transportQueue<Value>(
  tasks: Pick<Tasks, 'bind'>,
  name: string,
  { keepMs }: TransportQueueOptions = {},
): TransportQueue<Value> {
  const key = `queue:${name}`
  const kept = keepMs === undefined ? {} : { keepMs }
  const message = tasks.bind(
    key,
    async (value: Value): Promise<void> => {
      await taskContext().sendEvent({ key, value, wakes: 'one', ...kept })
    },
    // An event cannot be larger: whoever sends it hears of it, and not a dead letter.
    { queue: name, retry: RETRY, largeArguments: false },
  ) as Task<[value: Value], Promise<void>>
  const waited = (options: WaitForEventOptions): TimedListener<[], Value> => ({
    listenerName: name,
    wait: () => waitForEvent<Value>({ key }, options),
    set: (more) => waited({ ...options, ...more }),
  })
  return { ...waited({}), message }
}
