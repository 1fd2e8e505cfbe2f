// The plainest listener that keeps every promise: a queue in this process, whose messages come again until they are acknowledged.
import { waitForEvent, type EventListener, type PollOptions, type Tasks } from '@tasks/core'
import type { ListenerHarness, ListenerProcess, ListenerSource } from '../../src/index'
import { pause } from '../../src/patience'

export interface Message {
  readonly id: number
  readonly text: string
}

/** Longer than a process that lives takes from its poll to the acknowledgement; what a dead one has taken comes back while cases are patient. */
const LEASE_MS = 400

export class Queue {
  readonly #messages: { readonly message: Message; leasedUntil: number }[] = []
  #last = -1

  push(id: number): Message {
    const message = { id, text: `event ${id}` }
    this.#last = Math.max(this.#last, id)
    this.#messages.push({ message, leasedUntil: 0 })
    return message
  }

  has(id: number): boolean {
    return id <= this.#last
  }

  get size(): number {
    return this.#messages.length
  }

  /** The next message that nobody has, which is not given out again for a while. */
  take(leaseMs = LEASE_MS): Message | undefined {
    const now = performance.now()
    const free = this.#messages.find(({ leasedUntil }) => leasedUntil <= now)
    if (free === undefined) return undefined
    free.leasedUntil = now + leaseMs
    return free.message
  }

  acknowledge({ id }: Message): void {
    const at = this.#messages.findIndex(({ message }) => message.id === id)
    if (at >= 0) this.#messages.splice(at, 1)
  }
}

export class QueueListener implements EventListener<[], Message> {
  protected readonly queue: Queue

  constructor(queue: Queue) {
    this.queue = queue
  }

  async pollForEvent({ signal }: PollOptions): Promise<Message> {
    for (;;) {
      signal.throwIfAborted()
      const message = this.queue.take()
      if (message !== undefined) return message
      await pause(2)
    }
  }

  eventCheckpointed(event: Message): void {
    this.queue.acknowledge(event)
  }
}

/** How a process listens to the queue. */
export type Listening = (queue: Queue, tasks: Tasks) => ListenerProcess

export const listening =
  (make: (queue: Queue) => EventListener<[], Message>): Listening =>
  (queue, tasks) => {
    const bound = tasks.bindListener('queue', make(queue), { retry: { maxRetries: 5, delayMs: 5 } })
    return { wait: () => waitForEvent(bound) }
  }

export function queueHarness(
  listen: Listening,
  patience: Partial<Pick<ListenerHarness, 'leaseMs' | 'eventuallyMs' | 'settleMs'>> = {},
): ListenerHarness {
  return {
    name: 'a queue in this process',
    create(): ListenerSource {
      const queue = new Queue()
      return {
        process: (tasks) => listen(queue, tasks),
        occur: async (nth) => queue.push(nth),
        hasOccurred: (nth) => queue.has(nth),
        held: () => queue.size,
      }
    },
    ...patience,
  }
}
