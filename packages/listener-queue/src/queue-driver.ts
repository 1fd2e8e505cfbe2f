// What a queue must be able to do for pipelines to wait for its messages. Drivers for Redis and NATS are here; one for another queue is these three functions.
//
// D1. What `receive` has handed out is not handed out again for a while (a lease), and then, if nobody has acknowledged it, it is.
// D2. A token works in any process, and for as long as the message is there. One that the queue no longer knows counts as acknowledged.
// D3. The id of a message is the same each time it is handed out.

export interface QueueDriver {
  /** Up to `most` messages, at least one if there are any. With none it waits for a second or so, or until the signal is aborted, and gives []. */
  receive(most: number, signal: AbortSignal): Promise<readonly QueueMessage[]>
  /** The message is safe elsewhere: the queue may forget it. */
  acknowledge(token: string): Promise<void>
  /** Nobody wants it any more: it may be handed out at once. */
  giveBack(token: string): Promise<void>
}

export interface QueueMessage {
  readonly id: string
  readonly body: string
  /** How often it was handed out, this time included. Always 1 where the queue does not count: then nothing is ever given up. */
  readonly deliveries: number
  /** What `acknowledge` and `giveBack` know it by. */
  readonly token: string
}
