// The leases of a namespace's partitions, seen from one host.
import type { Heartbeat, LeaseStore } from '../adapter/leased-partitions'
import { TaskError } from '../errors'
import type { Commit, PartitionSession } from '../transport'
import type { MemoryFaults } from './faults'
import type { Lifetime } from './lifetime'
import type { Host, Namespace } from './namespace'
import { MemorySession } from './session'

export interface HostOptions {
  readonly namespace: Namespace
  readonly lifetime: Lifetime
  readonly faults: MemoryFaults
  readonly leaseMs: number
  readonly check: (commit: Commit) => void
}

export class MemoryHost implements LeaseStore, Host {
  readonly partitions: number
  aliveUntil = 0
  readonly #options: HostOptions
  readonly #listeners = new Set<() => void>()
  #cancelTimer: () => void = () => {}

  constructor(options: HostOptions) {
    this.partitions = options.namespace.partitions.length
    this.#options = options
    options.lifetime.onEnd((how) => {
      this.#cancelTimer()
      if (how === 'closed') {
        for (const partition of options.namespace.partitions) if (partition.host === this) this.#free(partition.index)
        this.#depart()
      }
      // The next heartbeat says that all is over.
      this.hear()
    })
  }

  async heartbeat(held: readonly number[]): Promise<Heartbeat> {
    const { namespace, lifetime, faults, leaseMs } = this.#options
    lifetime.check()
    const fault = faults.heartbeat?.({ held })
    if (fault === 'failed') throw new TaskError('TASKS_UNAVAILABLE', 'heartbeat: a fault that was asked for')
    const now = namespace.clock.monotonic()
    if (fault === 'expired')
      for (const partition of namespace.partitions) if (partition.host === this) partition.host = undefined
    const joined = !namespace.hosts.has(this)
    namespace.hosts.add(this)
    this.aliveUntil = now + leaseMs
    for (const host of namespace.hosts) if (host.aliveUntil <= now) namespace.hosts.delete(host)
    if (joined) this.#tellOthers()
    const lost: number[] = []
    for (const index of held) {
      const partition = namespace.partitions[index]!
      if (partition.host === this) partition.leaseUntil = now + leaseMs
      else lost.push(index)
    }
    const free = namespace.partitions.filter((partition) => partition.isFree(now)).map((partition) => partition.index)
    this.#watch(now)
    return { hosts: namespace.hosts.size, lost, free }
  }

  async claim(index: number, lost: AbortSignal): Promise<PartitionSession | undefined> {
    const { namespace, lifetime, faults, leaseMs, check } = this.#options
    lifetime.check()
    const fault = faults.claim?.({ partition: index })
    if (fault === 'failed') throw new TaskError('TASKS_UNAVAILABLE', 'claim: a fault that was asked for')
    const partition = namespace.partitions[index]!
    const now = namespace.clock.monotonic()
    if (!partition.isFree(now)) return undefined
    const previous = partition.session
    partition.epoch++
    partition.host = this
    partition.leaseUntil = now + leaseMs
    partition.session = new MemorySession({ namespace, partition, lifetime, faults, lost, check })
    previous?.notify()
    if (fault === 'unanswered') throw new TaskError('TASKS_UNAVAILABLE', 'claim: a fault that was asked for')
    return partition.session
  }

  async release(session: PartitionSession): Promise<void> {
    const { namespace, lifetime } = this.#options
    lifetime.check()
    if (namespace.partitions[session.partition]!.session !== session) return
    this.#free(session.partition)
    this.#tellOthers()
  }

  async leave(): Promise<void> {
    this.#options.lifetime.check()
    this.#cancelTimer()
    this.#depart()
  }

  onFree(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  hear(): void {
    for (const listener of this.#listeners) listener()
  }

  #free(index: number): void {
    const partition = this.#options.namespace.partitions[index]!
    const { session } = partition
    partition.host = undefined
    partition.session = undefined
    session?.notify()
  }

  #depart(): void {
    this.#options.namespace.hosts.delete(this)
    this.#tellOthers()
  }

  #tellOthers(): void {
    for (const host of this.#options.namespace.hosts) if (host !== this) host.hear()
  }

  /** Hears of the next lease of another host that runs out. */
  #watch(now: number): void {
    const { clock, partitions } = this.#options.namespace
    this.#cancelTimer()
    let next = Infinity
    for (const { host, leaseUntil } of partitions)
      if (host !== undefined && host !== this && leaseUntil > now) next = Math.min(next, leaseUntil)
    if (next < Infinity) this.#cancelTimer = clock.after(next - now, () => this.hear(), { unref: true })
  }
}
