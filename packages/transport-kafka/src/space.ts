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
import { Consumer } from './consumer'
import { deadLetters } from './dead-letters'
import type { KafkaDriver } from './driver'
import { Events } from './events'
import { MAX_LEASE_MS } from './limits'
import { Mailbox } from './mailbox'
import { Outbox } from './outbox'
import { OwnersLog } from './owners-log'
import { Host } from './ownership'
import { QueueLog } from './queue-log'
import { Subscriptions } from './subscriptions'
import type { Topics } from './topics'

export interface SpaceParts {
  readonly namespace: string
  readonly partitions: number
  readonly capabilities: Capabilities
  readonly driver: KafkaDriver
  readonly clock: Clock
  readonly topics: Topics
  /** Names this space among all that use the cluster; without a dot. */
  readonly name: string
  readonly rowBudget: number
  /** Of events. */
  readonly retention: EventRetention
  readonly onClose: (space: Space) => void
}

/** How long `close` waits for a cluster that does not answer: leases run out in the end. */
const GOODBYE_MS = 2_000

export function openSpace(parts: SpaceParts): Space {
  const { namespace, partitions, capabilities, driver, clock, topics, rowBudget } = parts
  const lifetime = new Lifetime(clock)
  // What closing must still hear.
  const reading = new Lifetime(clock)
  const outbox = new Outbox(driver, topics, partitions)
  const check = (sends: readonly Send[]): void => checkSends(sends, capabilities, partitions)
  const shared = { driver, clock, lifetime, topics, outbox, partitions }
  const owners = new OwnersLog({ ...shared, place: { topic: topics.name('owners'), partition: 0 } })
  const mailbox = new Mailbox({ ...shared, name: parts.name, random: () => clock.random() })
  const events = new Events({ ...shared })
  const subscriptions = new Subscriptions({ ...shared, events, name: parts.name })
  const logs = new Map<string, QueueLog>()
  const hosts = new Set<Host>()
  const consumers = new Set<Consumer>()
  let names = 0

  const logsOf = (queue: string): readonly QueueLog[] => {
    const partition = outbox.partitionOf(queue)
    return (['tasks', 'dispatch'] as const).map((part) => {
      const place = { topic: topics.name(part), partition }
      const key = `${part}/${partition}`
      const log = logs.get(key) ?? new QueueLog({ ...shared, lifetime: reading, place })
      logs.set(key, log)
      return log
    })
  }

  const bury = async (host: string): Promise<void> => {
    const farewell = { op: 'gone', prefix: hostSpace(host) } as const
    await Promise.all([...logs.values()].map((log) => log.say(farewell)))
    // Last: whoever has left is not looked for again.
    await owners.say({ op: 'leave', host, all: true })
  }

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
      const consumer: Consumer = new Consumer(
        {
          ...shared,
          check,
          deadTopic: topics.name('dead'),
          name: `${parts.name}-${++names}`,
          logsOf,
          onClose: () => consumers.delete(consumer),
        },
        options,
      )
      consumers.add(consumer)
      return consumer
    },

    own({ leaseMs }: OwnOptions): PartitionHost {
      lifetime.refuseIfOver()
      if (leaseMs > MAX_LEASE_MS)
        throw new TaskError('TASKS_OPTIONS', `leaseMs is ${MAX_LEASE_MS} at most on Kafka, not ${leaseMs}`)
      const host = new Host(
        {
          ...shared,
          owners,
          name: `${parts.name}-${++names}`,
          rowBudget,
          bury,
          check: (commit) => checkCommit(commit, capabilities, partitions),
        },
        leaseMs,
      )
      return leasedPartitions(host, { leaseMs, clock, lifetime, running: hosts })
    },

    async replies(onReply: (body: Bytes) => void): Promise<ReplyAddress> {
      lifetime.refuseIfOver()
      const { address, close } = await mailbox.open(onReply)
      return { address, close: async () => close() }
    },

    async signal(body: Bytes): Promise<void> {
      lifetime.refuseIfOver()
      checkSignal(body, capabilities)
      const records = [{ key: null, value: Buffer.from(body) }]
      const [stored] = await driver.produce([{ topic: topics.name('signals'), partition: 0, records }])
      if (!stored!.ok) throw stored!.error
    },

    onSignal(handler: (body: Bytes) => void): () => void {
      lifetime.refuseIfOver()
      return mailbox.onSignal(handler)
    },

    async backlog(queue: string): Promise<number | undefined> {
      lifetime.refuseIfOver()
      const ages = await Promise.all(logsOf(queue).map((log) => log.age(queue)))
      const known = ages.filter((age) => age !== undefined)
      return known.length === 0 ? undefined : Math.max(...known)
    },

    // Kafka tells no time but that of records.
    async now(): Promise<number> {
      lifetime.refuseIfOver()
      return clock.now()
    },

    events: {
      retention: parts.retention,
      read: (options) => events.read(options),
      positions: (since) => events.positions(since),
      subscribe: (options) => subscriptions.subscribe(options),
      forget: (name) => subscriptions.forget(name),
    },
    dead: deadLetters({ ...shared, check, place: { topic: topics.name('dead'), partition: 0 } }),
    blobs: blobs({
      ...shared,
      pages: topics.name('blobs'),
      index: { topic: topics.name('blob-index'), partition: 0 },
      partitionOf: (key) => outbox.partitionOf(key),
    }),

    async close(): Promise<void> {
      if (lifetime.signal.aborted) return
      // Consumers give back what they hold of theirs while they still can.
      const goodbyes = Promise.allSettled([
        ...[...consumers].map((consumer) => consumer.close()),
        ...[...hosts].map((host) => host.disown()),
        subscriptions.close(),
      ])
      lifetime.end(new TaskError('TASKS_CLOSED', `namespace "${namespace}" was closed`))
      await waitAtMost(clock, GOODBYE_MS, goodbyes)
      reading.end(new TaskError('TASKS_CLOSED', `namespace "${namespace}" was closed`))
      mailbox.close()
      owners.stop()
      events.stop()
      subscriptions.stop()
      for (const log of logs.values()) log.stop()
      parts.onClose(space)
    },
  }
  return space
}

/** What the names of all hosts and consumers of a space begin with. */
function hostSpace(host: string): string {
  return host.slice(0, host.lastIndexOf('-') + 1)
}
