import type { Transport } from '@tasks/core'
import type { MemoryFaults, MemoryTransport, MemoryTransportOptions } from '@tasks/core/memory'
import { memoryStore, memoryTransport } from '@tasks/core/memory'
import type { TransportHarness } from '../../src/index'

export interface MemoryHarness extends TransportHarness {
  create(): MemoryTransport
}

/** The reference transport with all that can be done to it: one store, a new transport for each connection. */
export function memoryHarness(
  patience: Partial<Pick<TransportHarness, 'leaseMs' | 'eventuallyMs' | 'settleMs'>> = {},
): MemoryHarness {
  const store = memoryStore()
  const faults = new Map<Transport, MemoryFaults>()
  const make = (options: MemoryTransportOptions): MemoryTransport => {
    const own: MemoryFaults = {}
    const transport = memoryTransport({ ...options, store, faults: own })
    faults.set(transport, own)
    return transport
  }
  /** Arms one fault, for one call. */
  const arm = <K extends 'commit' | 'send' | 'settle'>(
    transport: Transport,
    kind: K,
    fault: 'lost' | 'unanswered',
  ): void => {
    const own = faults.get(transport)!
    own[kind] = () => {
      delete own[kind]
      return fault
    }
  }
  const limits: MemoryTransportOptions = { maxMessageBytes: 4096, maxCommitBytes: 3 * 4096, maxCommitItems: 64 }
  return {
    name: 'memory',
    capabilities: memoryTransport().capabilities,
    create: () => make({}),
    reader: true,
    retention: true,
    small: { capabilities: memoryTransport(limits).capabilities, create: () => make(limits) },
    crash: (transport) => (transport as MemoryTransport).crash(),
    stall(transport) {
      const own = faults.get(transport)!
      own.heartbeat = () => 'failed'
      return () => {
        delete own.heartbeat
      }
    },
    // A store in this process has no server: its connections die, it stays.
    restartBroker: async () => {
      for (const transport of faults.keys()) (transport as MemoryTransport).crash()
    },
    faults: {
      commit: (transport, fault) => arm(transport, 'commit', fault),
      send: (transport, fault) => arm(transport, 'send', fault),
      settle: (transport, fault) => arm(transport, 'settle', fault),
    },
    leaseMs: 150,
    eventuallyMs: 2000,
    settleMs: 30,
    ...patience,
  }
}
