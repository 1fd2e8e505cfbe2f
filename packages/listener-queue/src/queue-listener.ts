// A message of a queue as the event that a pipeline waits for: taken from the queue, committed to the pipeline, acknowledged, and only then handed on.
import { TaskError, type EventListener, type PollOptions } from '@tasks/core'
import { BadMessages, type BadMessageOptions } from './bad-messages'
import type { QueueDriver, QueueMessage } from './queue-driver'

export interface DecodeOptions<Value> {
  /** Default: JSON. A message for which it throws is for nobody, see `giveUp`. */
  readonly decode?: (body: string) => Value
}

export interface QueueListenerOptions<Value> extends DecodeOptions<Value>, BadMessageOptions {}

export interface QueueEvent<Value> {
  /** The message's own: the same however often the queue hands it out. */
  readonly id: string
  readonly value: Value
  /** By which it is acknowledged, in whatever process. */
  readonly token: string
}

interface Waiter {
  readonly resolve: (message: QueueMessage) => void
  readonly reject: (reason: unknown) => void
}

/** For `tasks.bindListener`. All that wait in a process share one call of the driver. */
export function queueListener<Value = unknown>(
  driver: QueueDriver,
  options: QueueListenerOptions<Value> = {},
): EventListener<[], QueueEvent<Value>> {
  const { decode = fromJson } = options
  const receiver = new Receiver(driver)
  const bad = new BadMessages(driver, options)
  return {
    async pollForEvent({ signal }: PollOptions) {
      for (;;) {
        const message = await receiver.next(signal)
        try {
          return { id: message.id, value: decode(message.body), token: message.token }
        } catch (error) {
          // It is not the pipeline's fault, which waits on.
          await bad.setAside(message, error)
        }
      }
    },
    eventCheckpointed: ({ token }) => driver.acknowledge(token),
  }
}

export function fromJson<Value>(body: string): Value {
  try {
    return JSON.parse(body) as Value
  } catch (cause) {
    throw new TaskError('TASKS_UNDECODABLE', 'the message is not JSON: give the listener a decode', { cause })
  }
}

/** Hands messages to those who wait, one each, in the order in which they came. */
class Receiver {
  readonly #driver: QueueDriver
  readonly #waiters = new Set<Waiter>()
  #receiving: AbortController | undefined

  constructor(driver: QueueDriver) {
    this.#driver = driver
  }

  next(signal: AbortSignal): Promise<QueueMessage> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error)
      const done = (): void => {
        this.#waiters.delete(waiter)
        signal.removeEventListener('abort', stop)
      }
      const stop = (): void => {
        waiter.reject(signal.reason)
        if (this.#waiters.size === 0) this.#receiving?.abort()
      }
      const waiter: Waiter = {
        resolve: (message) => (done(), resolve(message)),
        reject: (reason) => (done(), reject(reason as Error)),
      }
      signal.addEventListener('abort', stop, { once: true })
      this.#waiters.add(waiter)
      void this.#receive()
    })
  }

  async #receive(): Promise<void> {
    if (this.#receiving !== undefined) return
    try {
      while (this.#waiters.size > 0) {
        this.#receiving = new AbortController()
        const messages = await this.#driver.receive(this.#waiters.size, this.#receiving.signal)
        for (const message of messages) {
          const [waiter] = this.#waiters
          if (waiter !== undefined) waiter.resolve(message)
          // Whoever it was for has gone meanwhile. If this fails, its lease gives it back.
          else await this.#driver.giveBack(message.token).catch(() => undefined)
        }
      }
    } catch (error) {
      // Each asks again, after the pause of its retry policy.
      for (const waiter of this.#waiters) waiter.reject(error)
    } finally {
      this.#receiving = undefined
    }
  }
}
