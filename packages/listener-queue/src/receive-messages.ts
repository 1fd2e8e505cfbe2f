// Messages of a queue that no pipeline waits for: each is given to a function, which starts a pipeline with it or sends it to one, and is acknowledged when that has returned.
import { stderrLogger, type Logger } from '@tasks/core'
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
  readonly logger?: Logger
}

export interface MessageReceiver {
  /** Takes no more; resolves when what it has taken is acknowledged, or given back. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const PAUSE_MS = 1_000

/** Calls `handle` for each message, at least once. One for which it throws comes again. */
export function receiveMessages<Value = unknown>(
  driver: QueueDriver,
  handle: (message: ReceivedMessage<Value>) => unknown,
  { decode = fromJson, concurrency = 10, logger = stderrLogger() }: ReceiveMessagesOptions<Value> = {},
): MessageReceiver {
  const stop = new AbortController()
  const { signal } = stop

  const take = async ({ id, body, token }: QueueMessage): Promise<void> => {
    try {
      await handle({ id, value: decode(body) })
      await driver.acknowledge(token)
    } catch (error) {
      logger.error({ error, message: id }, 'a message could not be handled: it comes again')
      await pause(PAUSE_MS, signal)
      await driver.giveBack(token).catch(() => undefined)
    }
  }
  const receive = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await Promise.all((await driver.receive(concurrency, signal)).map(take))
      } catch (error) {
        if (signal.aborted) return
        logger.warn({ error }, 'no message could be received: it is tried again')
        await pause(PAUSE_MS, signal)
      }
    }
  }
  const received = receive()
  const close = (): Promise<void> => {
    stop.abort()
    return received
  }
  return { close, [Symbol.asyncDispose]: close }
}
