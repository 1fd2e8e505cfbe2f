import type {
  Bytes,
  Capabilities,
  ConsumeOptions,
  EventRetention,
  OwnOptions,
  PartitionHost,
  ReplyAddress,
  Send,
  SendOutcome,
  Space,
  TaskConsumer,
} from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import {
  checkCommit,
  checkSends,
  checkSignal,
  leasedPartitions,
  Lifetime,
  sendAccepted,
  TaskError,
  waitAtMost,
} from '@tasks/core/adapter'
import { blobs } from './blobs'
import type { Connection } from './connection'
import { Consumer } from './consumer'
import { deadLetters } from './dead-letters'
import { Events } from './events'
import { isCertain } from './failure'
import type { Keys } from './keys'
import { EVENTS_KEPT_BYTES, EVENTS_KEPT_MS } from './limits'
import { Mailbox } from './mailbox'
import type { Messages } from './messages'
import { Outbox, Parts } from './outbox'
import { Host } from './ownership'
import { loadRows, scanRows } from './rows'
import { backlog } from './scripts/backlog'
import { send as sendScript } from './scripts/send'
import type { ServerClock } from './server-clock'

export interface SpaceParts {
  readonly namespace: string
  readonly partitions: number
  readonly capabilities: Capabilities
  readonly retention: Partial<EventRetention>
  readonly connection: Connection
  readonly messages: Messages
  /**
   * The connection for calls with short answers: if it can be, that on which messages arrive. Then an answer and what the call has had published to this process
   * come in one piece. Long answers would keep messages waiting, and count against what the server lets pile up for a subscriber.
   */
  readonly direct: () => Connection
  readonly clock: Clock
  readonly serverClock: ServerClock
  readonly keys: Keys
  /** Names this connection, and begins every name that it makes. */
  readonly name: string
  readonly newName: () => string
  readonly onClose: (space: Space) => void
}

/** How long `close` waits for a server that does not answer: leases run out in the end. */
const GOODBYE_MS = 2_000

export async function openSpace(parts: SpaceParts): Promise<Space> {
  const { namespace, partitions, capabilities, connection, messages, clock, serverClock, keys, newName } = parts
  const maxBytes = Math.ceil(EVENTS_KEPT_BYTES / partitions)
  const retention: EventRetention = { maxAgeMs: EVENTS_KEPT_MS, maxBytes, ...parts.retention }
  for (const [option, value] of Object.entries(retention))
    if (!(value >= 0))
      throw new TaskError('TASKS_OPTIONS', `retention.${option} must be a number from 0 on, not ${value}`)
  const mailbox = await Mailbox.open(messages, keys, parts.name)
  const direct = parts.direct()
  const lifetime = new Lifetime(clock)
  const outbox = new Outbox(keys, serverClock, retention)
  const check = (sends: readonly Send[]): void => checkSends(sends, capabilities, partitions)
  const shared = { connection, direct, messages, clock, lifetime, keys, mailbox, outbox, newName }
  const events = new Events({ ...shared, partitions }, retention)
  const hosts = new Set<Host>()
  const consumers = new Set<Consumer>()
  const subscriptions = new Set<() => void>()

  const subscribe = (stop: () => void): (() => void) => {
    subscriptions.add(stop)
    return () => {
      if (subscriptions.delete(stop)) stop()
    }
  }

  const space: Space = {
    namespace,
    partitions,
    capabilities,

    async send(batch: readonly Send[]): Promise<readonly SendOutcome[]> {
      lifetime.refuseIfOver()
      return sendAccepted(batch, capabilities, partitions, async (accepted) => {
        const call = new Parts(outbox.commonKeys)
        outbox.write(call, accepted)
        let outcome: SendOutcome = { ok: true }
        if (call.args.length > 0) {
          outcome = await direct.run(sendScript, call.keys, call.args).then(
            () => ({ ok: true }),
            (error: TaskError) => {
              if (error.code === 'TASKS_CLOSED') throw error
              return { ok: false, certain: isCertain(error), error }
            },
          )
        }
        return accepted.map(() => outcome)
      })
    },

    consume(options: ConsumeOptions): TaskConsumer {
      lifetime.refuseIfOver()
      const consumer = new Consumer({ ...shared, check }, options)
      consumers.add(consumer)
      return consumer
    },

    own({ leaseMs }: OwnOptions): PartitionHost {
      lifetime.refuseIfOver()
      const host = new Host(
        { ...shared, partitions, check: (commit) => checkCommit(commit, capabilities, partitions) },
        leaseMs,
      )
      return leasedPartitions(host, { leaseMs, clock, lifetime, running: hosts })
    },

    async replies(onReply: (body: Bytes) => void): Promise<ReplyAddress> {
      lifetime.refuseIfOver()
      const { address, close } = mailbox.openReplies(onReply)
      const stop = subscribe(close)
      return { address, close: async () => stop() }
    },

    async signal(body: Bytes): Promise<void> {
      lifetime.refuseIfOver()
      checkSignal(body, capabilities)
      await connection.command('publish', keys.signals, body)
    },

    onSignal(handler: (body: Bytes) => void): () => void {
      lifetime.refuseIfOver()
      let stopped = false
      // Handlers run in a microtask of their own: one that throws is the caller's bug, and not to be ours.
      const subscription = messages.subscribe(keys.signals, (body) => queueMicrotask(() => stopped || handler(body)))
      return subscribe(() => {
        stopped = true
        subscription.stop()
      })
    },

    async backlog(queue: string): Promise<number | undefined> {
      lifetime.refuseIfOver()
      const age = await connection.run(backlog, [keys.waiting, ...keys.queue(queue).all], [])
      return age === null ? undefined : (age as number)
    },

    async now(): Promise<number> {
      lifetime.refuseIfOver()
      return serverClock.look()
    },

    reader: {
      async load(partition, rows) {
        lifetime.refuseIfOver()
        return loadRows(connection, keys.partition(partition), rows)
      },
      async scan(partition, prefix, after, limit) {
        lifetime.refuseIfOver()
        return scanRows(connection, keys.partition(partition), prefix, after, limit)
      },
    },
    events,
    dead: deadLetters({ ...shared, check }),
    blobs: blobs(connection, lifetime, keys),

    async close(): Promise<void> {
      if (lifetime.signal.aborted) return
      lifetime.end(new TaskError('TASKS_CLOSED', `namespace "${namespace}" was closed`))
      for (const stop of subscriptions) stop()
      mailbox.close()
      await Promise.all([...consumers].map((consumer) => consumer.close()))
      const goodbyes = Promise.allSettled([events.close(), ...[...hosts].map((host) => host.disown())])
      await waitAtMost(clock, GOODBYE_MS, goodbyes)
      parts.onClose(space)
    },
  }
  return space
}
