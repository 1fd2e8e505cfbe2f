// The transport as one process of the cluster has it: every call takes time each way, on which the process may die or be paused, and what happens is
// recorded. What goes wrong inside is the memory transport's, by its fault hooks.
import type {
  Commit,
  ConsumeOptions,
  EventSubscription,
  Lease,
  PartitionSession,
  RowKey,
  Send,
  Space,
  TaskConsumer,
  Transport,
} from '@tasks/core'
import { TaskError } from '@tasks/core'
import type { MemoryTransport } from '@tasks/core/memory'
import type { Faults } from './faults'
import type { History } from './history'
import type { Journal } from './journal'
import type { Process } from './process'
import { sayInbox, saySend, sayTask } from './saying'

export interface ProcessTransportOptions {
  readonly process: Process
  readonly inner: MemoryTransport
  readonly hasReader: boolean
  readonly faults: Faults
  readonly history: History
  readonly journal: Journal
  /** Something is stored. */
  readonly onStored: (send: Send) => void
}

export function processTransport(options: ProcessTransportOptions): Transport {
  const { inner, process } = options
  process.onDeath(() => inner.crash())
  return {
    name: inner.name,
    capabilities: inner.capabilities,
    async open(open) {
      await process.pass()
      const space = await inner.open(open)
      await process.pass()
      return spaceOf(space, options)
    },
    async close() {
      await process.pass()
      await inner.close()
    },
  }
}

function spaceOf(space: Space, options: ProcessTransportOptions): Space {
  const { process, hasReader, faults, history, journal, onStored } = options
  const call = callOf(process)
  /** What has no hooks of its own in the memory transport. */
  const other = <T>(what: string, fn: () => Promise<T>): Promise<T> =>
    call(async () => {
      const lost = faults.strikes('other lost')
      const result = lost ? undefined : await fn()
      if (!lost && !faults.strikes('other unanswered')) return result as T
      history.add(process.name, { what: 'fault', fault: `${what} ${lost ? 'lost' : 'unanswered'}` })
      throw new TaskError('TASKS_UNAVAILABLE', `${what}: a fault of the simulation`)
    })
  const memberOf = (member: EventSubscription): EventSubscription => ({
    receive: (receive) => other('events.receive', () => member.receive(receive)),
    settle: (page) => other('events.settle', () => member.settle(page)),
    extend: (page) => other('events.extend', () => member.extend(page)),
    close: () => call(() => member.close()),
  })
  return {
    namespace: space.namespace,
    partitions: space.partitions,
    capabilities: space.capabilities,
    send: (batch) =>
      call(async () => {
        for (const send of batch) history.note(process.name, `sends ${send.id} ${saySend(send)}`)
        const outcomes = await space.send(batch)
        journal.sent(batch, outcomes)
        batch.forEach((send, at) => outcomes[at]?.ok === true && onStored(send))
        return outcomes
      }),
    consume: (consume) => consumerOf(space, consume, options),
    own(own) {
      const host = space.own(own)
      return { run: (onOwned, signal) => host.run((session) => onOwned(sessionOf(session, options)), signal) }
    },
    replies: (onReply) => call(() => space.replies((body) => process.enter(() => onReply(body)))),
    signal: (body) => call(() => space.signal(body)),
    onSignal: (handler) => space.onSignal((body) => process.enter(() => handler(body))),
    backlog: (queue) => other('backlog', () => space.backlog(queue)),
    now: () => other('now', () => space.now()),
    events: {
      retention: space.events.retention,
      read: (read) => other('events.read', () => space.events.read(read)),
      positions: (since) => other('events.positions', () => space.events.positions(since)),
      subscribe: (subscribe) =>
        other('events.subscribe', async () => memberOf(await space.events.subscribe(subscribe))),
      forget: (name) => other('events.forget', () => space.events.forget(name)),
    },
    ...(hasReader
      ? {
          reader: {
            load: (partition: number, keys: readonly RowKey[]) =>
              other('reader.load', () => space.reader!.load(partition, keys)),
            scan: (partition: number, prefix: string, after: RowKey | undefined, limit: number) =>
              other('reader.scan', () => space.reader!.scan(partition, prefix, after, limit)),
          },
        }
      : {}),
    dead: {
      list: (list) => other('dead.list', () => space.dead.list(list)),
      get: (id) => other('dead.get', () => space.dead.get(id)),
      redrive: (id, send) => other('dead.redrive', () => space.dead.redrive(id, send)),
      drop: (id) => other('dead.drop', () => space.dead.drop(id)),
    },
    blobs: {
      put: (key, page, bytes) => other(`blobs.put ${key}`, () => space.blobs.put(key, page, bytes)),
      get: (key, page) => other(`blobs.get ${key}`, () => space.blobs.get(key, page)),
      drop: (prefix) => other(`blobs.drop ${prefix}`, () => space.blobs.drop(prefix)),
      list: (list) => other('blobs.list', () => space.blobs.list(list)),
    },
    close: () => call(() => space.close()),
  }
}

function consumerOf(
  space: Space,
  options: ConsumeOptions,
  { process, history, journal }: ProcessTransportOptions,
): TaskConsumer {
  const consumer = space.consume(options)
  const call = callOf(process)
  return {
    receive: (receive) =>
      call(async () => {
        const leases = await consumer.receive(receive)
        for (const { id, deliveries, body } of leases) {
          history.add(process.name, { what: 'received', id, deliveries, says: sayTask(body, id) })
          journal.delivered(id)
        }
        return leases
      }),
    settle: (settlements, sends) =>
      call(() => {
        for (const { op, lease } of settlements) history.note(process.name, `${op} ${lease.id}`)
        for (const send of sends) history.note(process.name, `sends ${send.id} ${saySend(send)}`)
        return consumer.settle(settlements, sends)
      }),
    extend: (leases: readonly Lease[]) => call(() => consumer.extend(leases)),
    close: () => call(() => consumer.close()),
  }
}

function sessionOf(session: PartitionSession, options: ProcessTransportOptions): PartitionSession {
  const { process, history, journal } = options
  const { partition, claim, epoch, seq, time, lost } = session
  const call = callOf(process)
  history.note(process.name, `owns ${partition} by ${claim} from commit ${seq}`)
  return {
    partition,
    claim,
    epoch,
    seq,
    time,
    lost,
    load: (keys) => call(() => session.load(keys)),
    scan: (prefix, after, limit) => call(() => session.scan(prefix, after, limit)),
    poll: (poll) =>
      call(async () => {
        const messages = await session.poll(poll)
        for (const message of messages) {
          history.note(process.name, `polled ${partition}@${message.position} ${sayInbox(message.body)}`)
          journal.polled(message)
        }
        return messages
      }),
    commit: (commit: Commit) => call(() => journal.commit(process, session, commit)),
  }
}

/** A call goes out, does what it does, and comes back: each way takes its time, and may be the last thing that the process does. */
function callOf(process: Process): <T>(fn: () => Promise<T>) => Promise<T> {
  return async (fn) => {
    await process.pass()
    try {
      return await fn()
    } finally {
      await process.pass()
    }
  }
}
