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
import { backlog } from './backlog'
import { blobs } from './blobs'
import type { Neighbourhood } from './broadcasts'
import { Broadcasts } from './broadcasts'
import { Consumer } from './consumer'
import { deadLetters } from './dead-letters'
import { Events } from './events'
import { unavailable } from './failure'
import type { JetStream } from './jetstream'
import type { Names } from './names'
import { Outbox } from './outbox'
import { Host } from './ownership'
import { ServerClock } from './server-clock'

export interface SpaceParts {
  readonly namespace: string
  readonly partitions: number
  readonly capabilities: Capabilities
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly names: Names
  readonly retention: EventRetention
  readonly patienceMs: number
  readonly rowBytes: number
  /** Of all spaces of this connection. */
  readonly neighbourhood: Neighbourhood
  readonly onClose: (space: Space) => void
}

/** How long `close` waits for a server that does not answer: leases run out in the end. */
const GOODBYE_MS = 2_000
const NAME_CHARACTERS = 12

export async function openSpace(parts: SpaceParts): Promise<Space> {
  const { namespace, partitions, capabilities, jetstream, clock, names, patienceMs, rowBytes } = parts
  const { connection } = jetstream
  const lifetime = new Lifetime(clock)
  const serverClock = new ServerClock(jetstream, names, clock)
  const broadcasts = new Broadcasts(connection, names, clock.uid().slice(0, NAME_CHARACTERS), parts.neighbourhood)
  const outbox = new Outbox(jetstream, names, broadcasts)
  const check = (sends: readonly Send[]): void => checkSends(sends, capabilities, partitions)
  const shared = { jetstream, clock, lifetime, names, outbox, serverClock, patienceMs, check }
  const events = new Events({ ...shared, partitions }, parts.retention)
  const hosts = new Set<Host>()
  const consumers = new Set<Consumer>()

  const space: Space = {
    namespace,
    partitions,
    capabilities,

    async send(batch: readonly Send[]): Promise<readonly SendOutcome[]> {
      lifetime.refuseIfOver()
      return sendAccepted(batch, capabilities, partitions, (accepted) => outbox.send(accepted))
    },

    consume(options: ConsumeOptions): TaskConsumer {
      lifetime.refuseIfOver()
      const consumer = new Consumer(shared, options)
      consumers.add(consumer)
      return consumer
    },

    own({ leaseMs }: OwnOptions): PartitionHost {
      lifetime.refuseIfOver()
      const host = new Host(
        { ...shared, partitions, rowBytes, check: (commit) => checkCommit(commit, capabilities, partitions) },
        leaseMs,
      )
      return leasedPartitions(host, { leaseMs, clock, lifetime, running: hosts })
    },

    async replies(onReply: (body: Bytes) => void): Promise<ReplyAddress> {
      lifetime.refuseIfOver()
      return broadcasts.openReplies(onReply)
    },

    async signal(body: Bytes): Promise<void> {
      lifetime.refuseIfOver()
      checkSignal(body, capabilities)
      if (!connection.say(names.signal, body)) throw unavailable('signal', 'there is no connection', 'no')
    },

    onSignal(handler: (body: Bytes) => void): () => void {
      lifetime.refuseIfOver()
      return broadcasts.onSignal(handler)
    },

    async backlog(queue: string): Promise<number | undefined> {
      lifetime.refuseIfOver()
      return backlog(shared, queue)
    },

    async now(): Promise<number> {
      lifetime.refuseIfOver()
      return serverClock.now()
    },

    events,
    dead: deadLetters(shared),
    blobs: blobs({ ...shared, maxPageBytes: capabilities.maxMessageBytes }),

    async close(): Promise<void> {
      if (lifetime.signal.aborted) return
      lifetime.end(new TaskError('TASKS_CLOSED', `namespace "${namespace}" was closed`))
      broadcasts.close()
      const goodbyes = Promise.allSettled([
        events.close(),
        ...[...consumers].map((consumer) => consumer.close()),
        ...[...hosts].map((host) => host.disown()),
      ])
      await waitAtMost(clock, GOODBYE_MS, goodbyes)
      parts.onClose(space)
    },
  }
  return space
}
