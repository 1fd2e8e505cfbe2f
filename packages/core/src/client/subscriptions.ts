// What is asked for with `subscribe`, and what one holds of it when a function does the reading.
import { eventFilter, type EventFilter } from '../events/event-filter'
import type { EventItem, EventsFrom, EventStreamOptions, SubscribedStream } from '../events/event-stream'
import { checkId } from '../ids'
import { TaskError } from '../errors'
import { badOption, checkCount, checkFlag, checkMethods, checkMs, checkOptions } from '../option-checks'

export interface SubscribeOptions extends EventFilter {
  /** Default `new`. A named subscription that exists goes on where it is, whatever is said here. */
  readonly from?: EventsFrom
  /**
   * Makes it durable: it remembers how far it has come, also while nobody is subscribed, and shares the events among all who subscribe by this name, in any
   * process. Each event is handled at least once; `event.id` recognises repeats.
   */
  readonly name?: string
  /** Of a named subscription: how long what a process has is kept for it while it is silent, in ms. The same for all members. Default 10 000. */
  readonly leaseMs?: number
  /** False: it ends when everything that is stored by then has been told. Not of a named subscription. Default true. */
  readonly follow?: boolean
  /** Most events in a batch. Default 500. */
  readonly maxBatch?: number
  readonly signal?: AbortSignal
}

export interface Subscription {
  /** Resolves when it has ended: closed, or by its signal. Rejects if the handler of a subscription without a name has failed, or the transport for good. */
  readonly closed: Promise<void>
  /** Ends it; resolves when the handler has. From within the handler: at once. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const OPTIONS = ['types', 'pipelineId', 'key', 'from', 'name', 'leaseMs', 'follow', 'maxBatch', 'signal']
const LEASE_MS = 10_000
const MAX_BATCH = 500

/** @throws TaskError TASKS_OPTIONS, TASKS_ID_INVALID */
export function subscribeSettings(
  options: SubscribeOptions,
  handler: unknown,
): Pick<EventStreamOptions, 'isWanted' | 'from' | 'name' | 'leaseMs' | 'mostInBatch' | 'follow' | 'signal'> {
  checkOptions('subscribe', options, OPTIONS)
  const { from = 'new', name, leaseMs = LEASE_MS, follow = true, maxBatch = MAX_BATCH, signal, ...filter } = options
  if (handler !== undefined && typeof handler !== 'function')
    throw badOption('subscribe: handler', 'a function', handler)
  if (typeof from !== 'string' && !(typeof from === 'object' && from !== null && Number.isFinite(Number(from))))
    throw badOption('from', "'new', 'beginning', a position or a Date", from)
  if (name !== undefined) checkId('subscription name', name)
  checkMs('leaseMs', leaseMs)
  if (leaseMs < 50) throw badOption('leaseMs', 'a number of at least 50', leaseMs)
  checkFlag('follow', follow)
  if (!follow && name !== undefined)
    throw new TaskError('TASKS_OPTIONS', 'subscribe: follow: false is for a subscription without a name')
  checkCount('maxBatch', maxBatch, 100_000)
  if (signal !== undefined) checkMethods('signal', signal, ['throwIfAborted', 'addEventListener'])
  return { isWanted: eventFilter(filter), from, name, leaseMs, follow, mostInBatch: maxBatch, signal }
}

export function handled(stream: SubscribedStream, handler: (batch: readonly EventItem[]) => unknown): Subscription {
  const closed = stream.each(handler)
  // Who does not look at it has the log, which says the same.
  closed.catch(() => undefined)
  const close = async (): Promise<void> => {
    await stream.close()
    if (!stream.isHandling) await closed.catch(() => undefined)
  }
  return { closed, close, [Symbol.asyncDispose]: close }
}
