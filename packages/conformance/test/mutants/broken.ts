// How to break the reference transport: every object of the SPI can be replaced in part, the rest goes on as it was.
import type {
  Bytes,
  ConsumeOptions,
  Lease,
  OpenOptions,
  PartitionHost,
  PartitionSession,
  Send,
  Space,
  TaskConsumer,
  Transport,
} from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import type { MemoryStore, MemoryTransport } from '@tasks/core/memory'
import type { MemoryHarness } from '../support/memory-harness'
import { override } from '../../src/override'
import { memoryHarness } from '../support/memory-harness'

export interface Changes {
  transport?(transport: MemoryTransport): Partial<Transport>
  space?(space: Space, transport: MemoryTransport): Partial<Space>
  consumer?(consumer: TaskConsumer, options: ConsumeOptions, space: Space): Partial<TaskConsumer>
  host?(host: PartitionHost): PartitionHost
  session?(session: PartitionSession, space: Space): Partial<PartitionSession>
  /** After everything else that a restart does. */
  restart?(store: MemoryStore): void
}

export interface Mutant {
  /** What it does wrong. */
  readonly name: string
  /** The names of the cases that must find it out. */
  readonly caught: readonly string[]
  /** Called once per run, so that a mutant may remember things. */
  changes(): Changes
}

export function brokenHarness(changes: Changes, patience: Parameters<typeof memoryHarness>[0]): MemoryHarness {
  const sound = memoryHarness(patience)
  const inner = new Map<Transport, MemoryTransport>()
  const wrap = (transport: MemoryTransport): MemoryTransport => {
    const changed = override(transport, { ...changes.transport?.(transport) })
    const outer = override(changed, {
      open: async (options: OpenOptions) => openBroken(await changed.open(options), transport, changes),
    })
    inner.set(outer, transport)
    return outer
  }
  const soundOf = (transport: Transport): MemoryTransport => inner.get(transport)!
  return {
    ...sound,
    create: () => wrap(sound.create()),
    small: { capabilities: sound.small!.capabilities, create: () => wrap(sound.small!.create() as MemoryTransport) },
    crash: (transport) => sound.crash!(soundOf(transport)),
    stall: (transport) => sound.stall!(soundOf(transport)),
    async restartBroker() {
      await sound.restartBroker!()
      for (const { store } of inner.values()) changes.restart?.(store)
    },
    faults: {
      commit: (transport, fault) => sound.faults!.commit!(soundOf(transport), fault),
      send: (transport, fault) => sound.faults!.send!(soundOf(transport), fault),
      settle: (transport, fault) => sound.faults!.settle!(soundOf(transport), fault),
    },
  }
}

function openBroken(space: Space, transport: MemoryTransport, changes: Changes): Space {
  const changed = changes.space ? override(space, changes.space(space, transport)) : space
  return override(changed, {
    consume(options) {
      const consumer = changed.consume(options)
      return changes.consumer ? override(consumer, changes.consumer(consumer, options, space)) : consumer
    },
    own(options) {
      const host = changes.host?.(changed.own(options)) ?? changed.own(options)
      if (changes.session === undefined) return host
      const breakSession = (session: PartitionSession): PartitionSession =>
        override(session, changes.session!(session, space))
      return { run: (onOwned, signal) => host.run((session) => onOwned(breakSession(session)), signal) }
    },
  })
}

// ---- What several mutants do

/** Through text and back: what is not UTF-8 does not survive. */
export function asText(body: Bytes): Bytes {
  return new TextEncoder().encode(new TextDecoder().decode(body))
}

export function sendsAsText(sends: readonly Send[]): Send[] {
  return sends.map((send) => ({ ...send, body: asText(send.body) }))
}

export function never<T>(): Promise<T> {
  return new Promise(() => {})
}

export function fenced(): TaskError {
  return new TaskError('TASKS_FENCED', 'said a mutant')
}

export function isCode(error: unknown, code: string): boolean {
  return TaskError.is(error) && error.code === code
}

export function withLease(lease: Lease, changes: Partial<Lease>): Lease {
  return { ...lease, ...changes }
}
