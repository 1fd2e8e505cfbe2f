// Messages of a queue that no pipeline waits for: each is given to a function, which starts a pipeline with it or sends it to one, and is acknowledged when that has returned.
import { stderrLogger, TaskError } from '@tasks/core'
import { BadMessages } from './bad-messages'
import { pause } from './pause'
import type { QueueDriver, QueueMessage } from './queue-driver'
import { fromJson, type QueueListenerOptions } from './queue-listener'

export interface ReceivedMessage<Value> {
  /** The same each time it comes: `client.submit(…, { id })` and `sendEvent({ id })` have an effect once under it. */
  readonly id: string
  readonly value: Value
}

export interface ReceiveMessagesOptions<Value> extends QueueListenerOptions<Value> {
  /** Messages at a time. Default 10. */
  readonly concurrency?: number
}

export interface MessageReceiver {
  /** Takes no more; resolves when what it has taken is acknowledged, or has failed. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const PAUSE_MS = 1_000

/** Calls `handle` for each message, at least once. One for which it throws comes again when its lease is over, so that it should be done by then. */
export function receiveMessages<Value = unknown>(
  driver: QueueDriver,
  handle: (message: ReceivedMessage<Value>) => unknown,
  options: ReceiveMessagesOptions<Value> = {},
): MessageReceiver {
  const { decode = fromJson, concurrency = 10, logger = stderrLogger() } = options
  const bad = new BadMessages(driver, { ...options, logger })
  const stop = new AbortController()
  const { signal } = stop
  const inHand = new Set<Promise<void>>()

  const take = async (message: QueueMessage): Promise<void> => {
    const { id, body, deliveries, token } = message
    try {
      if (bad.isLost(message))
        throw new TaskError(
          'TASKS_MAX_DELIVERIES',
          `message "${id}" was handed out ${deliveries} times without an outcome`,
        )
      await handle({ id, value: decode(body) })
      await driver.acknowledge(token)
    } catch (error) {
      await bad.setAside(message, error)
      // If all of them fail, the reason is elsewhere: they are not taken as fast as they come.
      await pause(PAUSE_MS, signal)
    }
  }
  const receive = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        if (inHand.size >= concurrency) {
          await Promise.race(inHand)
          continue
        }
        for (const message of await driver.receive(concurrency - inHand.size, signal)) {
          const taken: Promise<void> = take(message).finally(() => inHand.delete(taken))
          inHand.add(taken)
        }
      } catch (error) {
        if (signal.aborted) break
        logger.warn({ error }, 'no message could be received: it is tried again')
        await pause(PAUSE_MS, signal)
      }
    }
    await Promise.all(inHand)
  }
  const received = receive()
  const close = (): Promise<void> => {
    stop.abort()
    return received
  }
  return { close, [Symbol.asyncDispose]: close }
}
