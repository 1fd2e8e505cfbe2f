// One transport at a time, used call by call from another process: see support/remote-transport.ts.
import type {
  Commit,
  ConsumeOptions,
  EventSubscription,
  HeldPage,
  Lease,
  OpenOptions,
  OwnOptions,
  PartitionSession,
  ReadEvents,
  ReceiveOptions,
  ReplyAddress,
  Send,
  Settlement,
  Space,
  SubscribeOptions,
  TaskConsumer,
  Transport,
} from '@tasks/core'
import { sqliteTransport } from '../../src/index'
import { Calls, thrownOf, type Port } from '../support/calls'

let transport: Transport
let last = 0
const spaces = new Map<number, Space>()
const consumers = new Map<number, TaskConsumer>()
const subscriptions = new Map<number, EventSubscription>()
const sessions = new Map<number, PartitionSession>()
const replies = new Map<number, ReplyAddress>()
const signals = new Map<number, () => void>()
const tokens = new Map<number, unknown>()

const withToken = (lease: Lease): Lease => ({ ...lease, token: tokens.get(lease.token as number) })

/** Of a space, those calls that take and give plain data. */
const plain = (space: Space): Readonly<Record<string, (...args: never[]) => unknown>> => ({
  send: (batch: readonly Send[]) =>
    space
      .send(batch)
      .then((outcomes) => outcomes.map((each) => (each.ok ? each : { ...each, error: thrownOf(each.error) }))),
  signal: (body: Uint8Array) => space.signal(body),
  backlog: (queue: string) => space.backlog(queue),
  now: () => space.now(),
  close: () => space.close(),
  ...prefixed('reader', space.reader!),
  ...prefixed('events', space.events),
  ...prefixed('dead', space.dead),
  ...prefixed('blobs', space.blobs),
})

function prefixed(name: string, part: object): Record<string, (...args: never[]) => unknown> {
  const methods = ['load', 'scan', 'list', 'get', 'put', 'redrive', 'drop', 'positions', 'forget'].filter(
    (method) => method in part,
  )
  return Object.fromEntries(
    methods.map((method) => [
      `${name}.${method}`,
      (...args: never[]) => (part as Record<string, (...given: never[]) => unknown>)[method]!(...args),
    ]),
  )
}

const there = new Calls(process as unknown as Port, {
  connect(path: string) {
    transport = sqliteTransport({ path })
  },
  disconnect: () => transport.close(),

  async open(options: OpenOptions) {
    const space = await transport.open(options)
    spaces.set(++last, space)
    return { id: last, partitions: space.partitions }
  },
  space: (id: number, method: string, ...args: never[]) => plain(spaces.get(id)!)[method]!(...args),

  consume(id: number, consumer: number, options: ConsumeOptions) {
    consumers.set(consumer, spaces.get(id)!.consume(options))
  },
  async receive(id: number, options: ReceiveOptions, signal: AbortSignal | undefined) {
    const leases = await consumers.get(id)!.receive({ ...options, ...(signal === undefined ? {} : { signal }) })
    return leases.map(({ token, ...lease }) => {
      tokens.set(++last, token)
      return { ...lease, token: last }
    })
  },
  settle: (id: number, settlements: readonly Settlement[], sends: readonly Send[]) =>
    consumers.get(id)!.settle(
      settlements.map((each) => ({ ...each, lease: withToken(each.lease) })),
      sends,
    ),
  extend: (id: number, leases: readonly Lease[]) => consumers.get(id)!.extend(leases.map(withToken)),
  closeConsumer: (id: number) => consumers.get(id)!.close(),

  readEvents: (id: number, options: ReadEvents, signal: AbortSignal | undefined) =>
    spaces.get(id)!.events.read({ ...options, ...(signal === undefined ? {} : { signal }) }),
  async subscribe(id: number, options: SubscribeOptions) {
    // Others may subscribe meanwhile: it is numbered when it is there.
    const member = await spaces.get(id)!.events.subscribe(options)
    subscriptions.set(++last, member)
    return last
  },
  receiveEvents: (id: number, options: { max: number; waitMs: number }, signal: AbortSignal | undefined) =>
    subscriptions.get(id)!.receive({ ...options, ...(signal === undefined ? {} : { signal }) }),
  // Tokens are numbers: they come back as they went.
  settleEvents: (id: number, page: HeldPage) => subscriptions.get(id)!.settle(page),
  extendEvents: (id: number, page: HeldPage) => subscriptions.get(id)!.extend(page),
  closeEvents: (id: number) => subscriptions.get(id)!.close(),

  own: (id: number, run: number, options: OwnOptions, signal: AbortSignal) =>
    spaces
      .get(id)!
      .own(options)
      .run(async (session) => {
        const name = ++last
        sessions.set(name, session)
        const { partition, claim, epoch, seq, time, lost } = session
        const tell = (): void => void there.call('lost', name, thrownOf(lost.reason))
        if (lost.aborted) tell()
        else lost.addEventListener('abort', tell, { once: true })
        await there.call('owned', run, name, { partition, claim, epoch, seq, time })
      }, signal),
  load: (id: number, keys: readonly string[]) => sessions.get(id)!.load(keys),
  scan: (id: number, prefix: string, after: string | undefined, limit: number) =>
    sessions.get(id)!.scan(prefix, after, limit),
  poll: (id: number, max: number, waitMs: number, signal: AbortSignal | undefined) =>
    sessions.get(id)!.poll({ max, waitMs, ...(signal === undefined ? {} : { signal }) }),
  commit: (id: number, commit: Commit) => sessions.get(id)!.commit(commit),

  async replies(id: number, name: number) {
    const address = await spaces.get(id)!.replies((body) => void there.call('replied', name, body))
    replies.set(name, address)
    return address.address
  },
  closeReplies: (name: number) => replies.get(name)!.close(),
  onSignal(id: number, name: number) {
    signals.set(
      name,
      spaces.get(id)!.onSignal((body) => void there.call('signalled', name, body)),
    )
  },
  offSignal: (name: number) => signals.get(name)?.(),
})

process.on('disconnect', () => process.exit())
void there.call('ready')
