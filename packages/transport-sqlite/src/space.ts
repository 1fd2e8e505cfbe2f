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
import { checkSignal, leasedPartitions, Lifetime, sendAccepted, TaskError } from '@tasks/core/adapter'
import { blobs } from './blobs'
import { deadLetters } from './dead-letters'
import { Events } from './events'
import { isCertain } from './failure'
import { EVENTS_KEPT_BYTES, EVENTS_KEPT_MS } from './limits'
import type { Namespace } from './namespace'
import { Outbox } from './outbox'
import { leaseStore } from './partition'
import { Consumer } from './queue'
import { loadRows, scanRows } from './rows'
import type { Store } from './store'

export function openSpace(
  store: Store,
  namespace: Namespace,
  capabilities: Capabilities,
  asked: Partial<EventRetention>,
  onClose: () => void,
): Space {
  const { group, clock, mail } = store
  const lifetime = new Lifetime(clock)
  const maxBytes = Math.ceil(EVENTS_KEPT_BYTES / namespace.partitions)
  const retention: EventRetention = { maxAgeMs: EVENTS_KEPT_MS, maxBytes, ...asked }
  const outbox = new Outbox(namespace, mail, clock, capabilities, retention)
  const events = new Events(store, lifetime, namespace, retention)
  const consumers = new Set<Consumer>()
  const subscriptions = new Set<() => void>()

  const subscribe = (stop: () => void): (() => void) => {
    subscriptions.add(stop)
    return () => {
      subscriptions.delete(stop)
      stop()
    }
  }

  return {
    namespace: namespace.name,
    partitions: namespace.partitions,
    capabilities,

    async send(batch: readonly Send[]): Promise<readonly SendOutcome[]> {
      lifetime.refuseIfOver()
      return sendAccepted(batch, capabilities, namespace.partitions, async (accepted) => {
        const outcome: SendOutcome = await group
          .write((write) => outbox.write(write, accepted))
          .then(
            () => ({ ok: true }),
            (error: TaskError) => ({ ok: false, certain: isCertain(error), error }),
          )
        return accepted.map(() => outcome)
      })
    },

    consume(options: ConsumeOptions): TaskConsumer {
      lifetime.refuseIfOver()
      const consumer = new Consumer(store, lifetime, namespace, outbox, options)
      consumers.add(consumer)
      return consumer
    },

    own({ leaseMs }: OwnOptions): PartitionHost {
      lifetime.refuseIfOver()
      return leasedPartitions(leaseStore(store, lifetime, namespace, outbox, leaseMs), { leaseMs, clock, lifetime })
    },

    async replies(onReply: (body: Bytes) => void): Promise<ReplyAddress> {
      lifetime.refuseIfOver()
      const { address, close } = mail.open(onReply)
      const stop = subscribe(close)
      return { address, close: async () => stop() }
    },

    async signal(body: Bytes): Promise<void> {
      lifetime.refuseIfOver()
      checkSignal(body, capabilities)
      await group.note((write) => mail.signal(write, namespace.id, body))
    },

    onSignal(handler: (body: Bytes) => void): () => void {
      lifetime.refuseIfOver()
      return subscribe(mail.listen(namespace.id, handler))
    },

    async backlog(queue: string): Promise<number | undefined> {
      lifetime.refuseIfOver()
      const id = namespace.findQueue(queue)
      if (id === undefined) return undefined
      const sent = group.get(OLDEST, id)!['sent'] as number | null
      return sent === null ? undefined : Math.max(0, clock.now() - sent)
    },

    async now(): Promise<number> {
      lifetime.refuseIfOver()
      return clock.now()
    },

    reader: {
      async load(partition, keys) {
        lifetime.refuseIfOver()
        return loadRows(group, namespace.slot(partition), keys)
      },
      async scan(partition, prefix, after, limit) {
        lifetime.refuseIfOver()
        return scanRows(group, namespace.slot(partition), prefix, after, limit)
      },
    },
    events,
    dead: deadLetters(group, lifetime, namespace.id, outbox),
    blobs: blobs(group, lifetime, namespace.id, clock),

    async close(): Promise<void> {
      if (lifetime.signal.aborted) return
      lifetime.end(new TaskError('TASKS_CLOSED', `namespace "${namespace.name}" was closed`))
      for (const stop of subscriptions) stop()
      await Promise.all([events.close(), ...[...consumers].map((consumer) => consumer.close())])
      onClose()
    },
  }
}

const OLDEST = `
SELECT min(sent) AS sent FROM (
  SELECT m.sent FROM json_each('[0,1,2,3,4,5,6,7,8,9]') rank
    JOIN message m ON m.seq = (SELECT min(seq) FROM ready WHERE queue = ?1 AND rank = rank.value)
  UNION ALL
  SELECT m.sent FROM message m WHERE m.seq = (SELECT min(seq) FROM suspect WHERE queue = ?1)
  UNION ALL
  SELECT m.sent FROM delayed d JOIN message m ON m.seq = d.seq WHERE m.queue = ?1)`
