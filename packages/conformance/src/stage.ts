import assert from 'node:assert/strict'
import type {
  EventPage,
  EventRetention,
  EventSubscription,
  HeldPage,
  Lease,
  PartitionSession,
  Position,
  ReadEvents,
  ReceiveOptions,
  Space,
  StoredEvent,
  TaskConsumer,
  Transport,
} from '@tasks/core'
import type { TransportHarness } from './harness'
import type { OwnerOptions } from './owner'
import { Owner } from './owner'
import { eventually, pause, within } from './patience'

/** What one case works with. Everything made here is closed when the case ends, well or badly. */
export class Stage {
  readonly harness: TransportHarness
  readonly namespace: string
  /** For what is to run out. What is not is held with `longMs`. */
  readonly leaseMs: number
  readonly longMs: number
  readonly eventuallyMs: number
  readonly settleMs: number
  readonly #transports = new Map<Space, Transport>()
  readonly #made: Transport[] = []
  readonly #owners: Owner[] = []

  constructor(harness: TransportHarness, namespace: string) {
    this.harness = harness
    this.namespace = namespace
    this.leaseMs = harness.leaseMs ?? 1000
    this.eventuallyMs = harness.eventuallyMs ?? 5000
    this.settleMs = harness.settleMs ?? 200
    this.longMs = 60_000
  }

  /** A connection of its own. */
  async connect(from: { create(): Promise<Transport> | Transport } = this.harness): Promise<Transport> {
    const transport = await from.create()
    this.#made.push(transport)
    return transport
  }

  /** The namespace of the case, with two partitions, on a connection of its own. */
  async open(
    options: {
      readonly on?: Transport
      readonly namespace?: string
      readonly partitions?: number
      readonly small?: boolean
      readonly retention?: Partial<EventRetention>
    } = {},
  ): Promise<Space> {
    const transport =
      options.on ?? (await this.connect(options.small ? (this.harness.small ?? this.harness) : this.harness))
    const space = await transport.open({
      namespace: options.namespace ?? this.namespace,
      partitions: options.partitions ?? 2,
      ...(options.retention && { retention: options.retention }),
    })
    this.#transports.set(space, transport)
    return space
  }

  transportOf(space: Space): Transport {
    return this.#transports.get(space)!
  }

  own(space: Space, options: Partial<OwnerOptions> = {}): Owner {
    const owner = new Owner(space, { leaseMs: this.longMs, eventuallyMs: this.eventuallyMs, ...options })
    this.#owners.push(owner)
    return owner
  }

  consume(space: Space, queues: string | readonly string[] = 'q', leaseMs: number = this.longMs): TaskConsumer {
    return space.consume({ queues: typeof queues === 'string' ? [queues] : queues, leaseMs })
  }

  /** One receive that waits for as long as something may take. */
  receive(consumer: TaskConsumer, options: Partial<ReceiveOptions> = {}): Promise<readonly Lease[]> {
    return within(
      this.eventuallyMs * 2,
      'receive',
      consumer.receive({ max: 10, waitMs: this.eventuallyMs, suspects: false, ...options }),
    )
  }

  /** Receives until `count` different ids have come; all of them, with repeats. Settled only if asked. */
  async collect(
    consumer: TaskConsumer,
    count: number,
    options: { readonly ack?: boolean; readonly suspects?: boolean; readonly max?: number } = {},
  ): Promise<Lease[]> {
    const leases: Lease[] = []
    const ids = new Set<string>()
    const until = performance.now() + this.eventuallyMs
    while (ids.size < count && performance.now() < until) {
      const batch = await this.receive(consumer, {
        max: options.max ?? 100,
        waitMs: Math.max(1, until - performance.now()),
        suspects: options.suspects ?? false,
      })
      leases.push(...batch)
      for (const { id } of batch) ids.add(id)
      if (options.ack)
        await consumer.settle(
          batch.map((lease) => ({ lease, op: 'ack' })),
          [],
        )
    }
    assert.equal(ids.size, count, `of ${count} messages ${ids.size} came: ${[...ids].slice(0, 20).join(' ')}`)
    return leases
  }

  /** What a queue hands out in a while in which nothing is expected. */
  async surprises(
    consumer: TaskConsumer,
    options: { readonly suspects?: boolean; readonly forMs?: number } = {},
  ): Promise<string[]> {
    const ids: string[] = []
    const until = performance.now() + (options.forMs ?? this.settleMs)
    for (let left = until - performance.now(); left > 0; left = until - performance.now()) {
      const batch = await this.receive(consumer, { waitMs: left, suspects: options.suspects ?? true })
      ids.push(...batch.map((lease) => lease.id))
    }
    return ids
  }

  /** Polls until `count` different ids have come; all of them, with repeats. */
  async poll(
    session: PartitionSession,
    count: number,
    max = 100,
  ): Promise<{ readonly id: string; readonly body: Uint8Array; readonly position: string }[]> {
    const messages: { readonly id: string; readonly body: Uint8Array; readonly position: string }[] = []
    const ids = new Set<string>()
    const until = performance.now() + this.eventuallyMs
    while (ids.size < count && performance.now() < until) {
      const batch = await within(
        this.eventuallyMs * 2,
        'poll',
        session.poll({ max, waitMs: Math.max(1, until - performance.now()) }),
      )
      messages.push(...batch)
      for (const { id } of batch) ids.add(id)
    }
    assert.equal(ids.size, count, `of ${count} inbox messages ${ids.size} came: ${[...ids].slice(0, 20).join(' ')}`)
    return messages
  }

  /** One read of events that waits for as long as something may take. */
  readEvents(
    space: Space,
    after: Readonly<Record<number, Position | undefined>>,
    options: Partial<ReadEvents> = {},
  ): Promise<readonly EventPage[]> {
    const positions = new Map(Object.entries(after).map(([partition, position]) => [Number(partition), position]))
    const reading = space.events.read({ after: positions, max: 100, waitMs: this.eventuallyMs, ...options })
    return within(this.eventuallyMs * 2, 'a read of events', reading)
  }

  /** Reads a partition's events until `count` different ids have come; all of them, with repeats. */
  async events(space: Space, partition: number, count: number, after?: Position, max = 100): Promise<StoredEvent[]> {
    const events: StoredEvent[] = []
    const ids = new Set<string>()
    const until = performance.now() + this.eventuallyMs
    for (let position = after; ids.size < count && performance.now() < until;) {
      const waitMs = Math.max(1, until - performance.now())
      const [page] = await this.readEvents(space, { [partition]: position }, { max, waitMs })
      if (page === undefined) continue
      assert.equal(page.partition, partition)
      assert.ok(page.events.length <= max, `${max} events were asked for, ${page.events.length} came`)
      events.push(...page.events)
      for (const { id } of page.events) ids.add(id)
      position = page.position
    }
    assert.equal(ids.size, count, `of ${count} events ${ids.size} came: ${[...ids].slice(0, 20).join(' ')}`)
    return events
  }

  /** The next page of a subscription. */
  async page(member: EventSubscription, max = 100): Promise<HeldPage> {
    const page = await within(
      this.eventuallyMs * 2,
      'a receive of events',
      member.receive({ max, waitMs: this.eventuallyMs }),
    )
    assert.ok(page !== undefined, 'no page came')
    return page
  }

  /** What an inbox gives in a while in which nothing is expected. */
  async unexpected(session: PartitionSession): Promise<string[]> {
    const messages = await within(this.eventuallyMs, 'poll', session.poll({ max: 100, waitMs: this.settleMs }))
    return messages.map((message) => message.id)
  }

  /** Does it again and again until `done`; what it throws is thrown at once. */
  async until(what: string, done: () => boolean, again: () => Promise<void>): Promise<void> {
    const until = performance.now() + this.eventuallyMs
    while (!done()) {
      assert.ok(performance.now() < until, `it did not come to this: ${what}`)
      await again()
    }
  }

  eventually<T>(attempt: () => T | Promise<T>): Promise<T> {
    return eventually(this.eventuallyMs, attempt)
  }

  /** Long enough for what should not happen to happen. */
  quiet(): Promise<void> {
    return pause(this.settleMs)
  }

  pause(ms: number): Promise<void> {
    return pause(ms)
  }

  async end(): Promise<void> {
    for (const owner of this.#owners) void owner.stop().catch(() => {})
    for (const owner of this.#owners) owner.finishAll()
    const endings = [...this.#owners.map((owner) => owner.ended), ...this.#made.map((transport) => transport.close())]
    // A transport that cannot close is what some case is about; here it must not hide what the case found.
    for (const ending of endings) await within(this.eventuallyMs, 'the end', ending).catch(() => {})
  }
}
