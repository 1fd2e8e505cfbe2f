// The reference transport: everything in this process, and every promise of the SPI kept in the plainest way. It is what tests run on, and
// what an adapter's author can read to see what is meant.
import type { Clock } from '../clock'
import { TaskError } from '../errors'
import type { Capabilities, OpenOptions, Transport } from '../transport'
import type { MemoryFaults } from './faults'
import type { Ending } from './lifetime'
import type { MemoryStore } from './memory-store'
import { memoryStore, PRIORITIES } from './memory-store'
import { MemorySpace } from './space'

export interface MemoryTransportOptions {
  /** What it works on. Default: a store of its own. */
  readonly store?: MemoryStore
  /** What this connection's process has for a clock: its heartbeats follow it. Default: the store's. A store made here gets it too. */
  readonly clock?: Clock
  /** Default 1 MiB. */
  readonly maxMessageBytes?: number
  /** Default eight messages' worth. */
  readonly maxCommitBytes?: number
  /** Default 10,000. */
  readonly maxCommitItems?: number
  /** What it says of itself, for tests of those who read it. Default `none`, which is the truth. */
  readonly durability?: Capabilities['durability']
  /** What is to go wrong on this connection. */
  readonly faults?: MemoryFaults
}

export interface MemoryTransport extends Transport {
  readonly store: MemoryStore
  /** What a killed process does: nothing more. Calls reject, nothing is given back, and the leases it holds have to run out. */
  crash(): void
}

const PARTITIONS = 16

export function memoryTransport(options: MemoryTransportOptions = {}): MemoryTransport {
  const store = options.store ?? memoryStore(options.clock ? { clock: options.clock } : {})
  const faults = options.faults ?? {}
  const maxMessageBytes = options.maxMessageBytes ?? 1024 * 1024
  const capabilities: Capabilities = {
    durability: options.durability ?? 'none',
    maxMessageBytes,
    maxCommitBytes: options.maxCommitBytes ?? 8 * maxMessageBytes,
    maxCommitItems: options.maxCommitItems ?? 10_000,
    priorities: PRIORITIES,
    shared: false,
    checksAbsent: true,
    server: 'memory',
  }
  const spaces = new Set<MemorySpace>()
  let closed = false
  const end = (how: Ending): void => {
    closed = true
    for (const space of spaces) space.end(how)
    spaces.clear()
  }
  return {
    name: 'memory',
    capabilities,
    store,
    async open(open) {
      if (closed) throw new TaskError('TASKS_CLOSED', 'the memory transport is closed')
      const space = new MemorySpace(namespaceOf(store, open), capabilities, faults, options.clock ?? store.clock)
      spaces.add(space)
      return space
    },
    close: async () => end('closed'),
    crash: () => end('crashed'),
  }
}

function namespaceOf(
  store: MemoryStore,
  { namespace, partitions, provision, retention }: OpenOptions,
): ReturnType<MemoryStore['create']> {
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1)) {
    throw new TaskError('TASKS_OPTIONS', `partitions must be a whole number of at least 1, not ${partitions}`)
  }
  const existing = store.namespaces.get(namespace)
  if (existing === undefined) {
    if (provision === 'verify')
      throw new TaskError('TASKS_NOT_FOUND', `there is no namespace "${namespace}" in this store`)
    const created = store.create(namespace, partitions ?? PARTITIONS)
    created.retention = { ...created.retention, ...retention }
    return created
  }
  if (partitions !== undefined && partitions !== existing.partitions.length) {
    throw new TaskError(
      'TASKS_PARTITIONS_MISMATCH',
      `namespace "${namespace}" was created with ${existing.partitions.length} partitions, not ${partitions}`,
    )
  }
  existing.retention = { ...existing.retention, ...retention }
  return existing
}
