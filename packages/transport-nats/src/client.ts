// The connections of a transport: made by the client library from the user's own settings, apart from those that decide what becomes of it when the server is away.
import { TaskError } from '@tasks/core/adapter'
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'

/** Ours, whatever the user's say. */
const OURS = {
  // For ever: after ten times, its default, a client is closed for good.
  reconnect: true,
  maxReconnectAttempts: -1,
  waitOnFirstConnect: false,
  reconnectTimeWait: 200,
  reconnectJitter: 200,
  // A token may be renewed, a password restored: the second refusal in a row would close it for good.
  ignoreAuthErrorAbort: true,
  // Otherwise a dead socket is found after minutes.
  pingInterval: 5_000,
  maxPingOut: 2,
  // Signals go to every process, this one included.
  noEcho: false,
  // A stack trace for each of a million calls.
  noAsyncTraces: true,
} as const satisfies NodeConnectionOptions

const CONNECT_MS = 5_000

export interface Client {
  connect(): Promise<NatsConnection>
  readonly inboxPrefix: string | undefined
  /** Whether it is the transport's to close. */
  readonly owned: boolean
}

export function withOptions(options: NodeConnectionOptions, servers: readonly string[] | undefined): Client {
  const all: NodeConnectionOptions = {
    timeout: CONNECT_MS,
    ...options,
    ...(servers !== undefined && { servers: [...servers] }),
    ...OURS,
  }
  return { connect: () => connect({ ...all }), inboxPrefix: options.inboxPrefix, owned: true }
}

/** A connection of the user's: used, and left open. */
export function existing(client: NatsConnection): Client {
  const { options } = client as { readonly options?: NodeConnectionOptions }
  if (options !== undefined && (options.maxReconnectAttempts !== -1 || options.reconnect === false))
    throw new TaskError(
      'TASKS_OPTIONS',
      `the client gives up after ${options.reconnect === false ? 0 : options.maxReconnectAttempts} tries to reconnect, and is closed for good then: connect with reconnect: true and maxReconnectAttempts: -1`,
    )
  if (options?.noEcho === true)
    throw new TaskError('TASKS_OPTIONS', 'the client does not hear what it says itself: connect without noEcho')
  return { connect: () => Promise.resolve(client), inboxPrefix: options?.inboxPrefix, owned: false }
}
