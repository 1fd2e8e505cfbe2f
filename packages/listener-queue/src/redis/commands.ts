// What lists and streams have in common: how Redis is asked, and asked again.
import { pause } from '../pause'
import type { QueueMessage } from '../queue-driver'

/** What a driver asks of a client: ioredis has it; for node-redis, `{ call: (...words) => client.sendCommand(words.map(String)) }`. */
export interface RedisCommands {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
}

export interface RedisQueueOptions {
  readonly client: RedisCommands
  readonly key: string
  /** How long a message is kept from others before it is handed out again, in ms. Longer than a worker's lease, which is 10 s. Default 60,000. */
  readonly leaseMs?: number
  /** How often an empty queue is looked at while somebody waits, in ms. Default 100. */
  readonly pollMs?: number
}

export const LEASE_MS = 60_000
export const POLL_MS = 100
const WAIT_MS = 1_000

/** Asks again and again, for a second. */
export async function receive(
  take: () => Promise<readonly QueueMessage[]>,
  pollMs: number,
  signal: AbortSignal,
): Promise<readonly QueueMessage[]> {
  for (const until = performance.now() + WAIT_MS; !signal.aborted; await pause(pollMs, signal)) {
    const messages = await take()
    if (messages.length > 0 || performance.now() > until) return messages
  }
  return []
}
