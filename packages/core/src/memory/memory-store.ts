import type { Clock } from '../clock'
import { systemClock } from '../clock'
import { Namespace } from './namespace'

/** How many priority levels a queue has. */
export const PRIORITIES = 10

/** What outlives a transport: several transports on one store are several processes on one broker. */
export class MemoryStore {
  readonly clock: Clock
  /** For the transport alone. */
  readonly namespaces = new Map<string, Namespace>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  create(name: string, partitions: number): Namespace {
    const namespace = new Namespace(name, partitions, PRIORITIES, this.clock)
    this.namespaces.set(name, namespace)
    return namespace
  }
}

export interface MemoryStoreOptions {
  /** Ages messages, runs leases out, answers `now()`. Default: the machine's. */
  readonly clock?: Clock
}

export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  return new MemoryStore(options.clock ?? systemClock)
}
