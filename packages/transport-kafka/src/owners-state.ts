// Who owns which partition: a pure function of the records of the owners' log, and of the broker's clock in them. What it decides gives liveness; safety is the transactional ids'.
//
// O1. A partition is claimed when it is free: never owned, given back, or its lease has run out by the time of the record that claims it. The first such record has it.
// O2. Epochs grow with every claim, over all that the log has ever said: they are never less than the time.

import type { ProcessIdentity } from '@tasks/core/adapter'

export type OwnersSaying =
  /** I am alive, in this process, and these are mine. Whoever reads the log from here on learns of them by this. */
  | {
      readonly op: 'beat'
      readonly host: string
      readonly process?: ProcessIdentity
      readonly leaseMs: number
      readonly held: readonly Held[]
    }
  | {
      readonly op: 'claim'
      readonly host: string
      readonly leaseMs: number
      readonly partition: number
      readonly nonce: string
    }
  | { readonly op: 'release'; readonly partition: number; readonly claim: string }
  /** This host is gone, and counts no more. `all`: with everything it had. */
  | { readonly op: 'leave'; readonly host: string; readonly all: boolean }
  /** What has been said is known by whoever reads this. */
  | { readonly op: 'mark' }

export interface Held {
  readonly partition: number
  readonly epoch: number
  readonly claim: string
}

/** Longer than a third of any lease (`MAX_LEASE_MS`), after which all hosts have been heard, and shorter than what is kept of the log. */
const DEAF_MS = 2 * 60 * 1000

interface HostFacts {
  readonly until: number
  readonly process: ProcessIdentity | undefined
}

interface Partition {
  owner: string | undefined
  until: number
  epoch: number
  claim: string
}

export class OwnersState {
  readonly partitions: readonly Partition[]
  readonly #hosts = new Map<string, HostFacts>()
  #time = 0
  /** Until then claims are not followed. */
  #deafUntil = 0

  constructor(partitions: number) {
    this.partitions = Array.from({ length: partitions }, () => ({ owner: undefined, until: 0, epoch: 0, claim: '' }))
  }

  get time(): number {
    return this.#time
  }

  /**
   * The log has lost its beginning: what the first claims were up against is not known, and by their heartbeats all hosts tell what they have.
   */
  beginLate(time: number): void {
    this.#deafUntil = time + DEAF_MS
  }

  /** Answers whether a host came or went, or a partition became free. */
  fold(time: number, saying: OwnersSaying): boolean {
    this.#time = Math.max(this.#time, time)
    switch (saying.op) {
      case 'beat':
        return this.#beat(saying)
      case 'claim':
        this.#claim(saying)
        return false
      case 'release': {
        const partition = this.partitions[saying.partition]
        if (partition === undefined || partition.claim !== saying.claim) return false
        partition.owner = undefined
        return true
      }
      case 'leave': {
        const left = saying.all ? this.partitions.filter(({ owner }) => owner === saying.host) : []
        for (const partition of left) partition.owner = undefined
        return this.#hosts.delete(saying.host) || left.length > 0
      }
      case 'mark':
        return false
    }
  }

  hosts(now: number): number {
    let count = 0
    for (const { until } of this.#hosts.values()) if (until > now) count++
    return count
  }

  /** The processes of the hosts that have said theirs, and not that they are gone. */
  *processes(): Iterable<readonly [host: string, process: ProcessIdentity]> {
    for (const [host, { process }] of this.#hosts) if (process !== undefined) yield [host, process]
  }

  isFree(partition: number, now: number): boolean {
    const { owner, until } = this.partitions[partition]!
    return owner === undefined || until <= now
  }

  /** When somebody else's next lease runs out: of a partition, or as one of those who share them. */
  nextExpiry(host: string, now: number): number {
    let next = Infinity
    for (const { owner, until } of this.partitions)
      if (owner !== undefined && owner !== host && until > now) next = Math.min(next, until)
    for (const [other, { until }] of this.#hosts) if (other !== host && until > now) next = Math.min(next, until)
    return next
  }

  #beat({ host, process, leaseMs, held }: OwnersSaying & { op: 'beat' }): boolean {
    const until = this.#time + leaseMs
    const isNew = (this.#hosts.get(host)?.until ?? 0) <= this.#time
    this.#hosts.set(host, { until, process })
    for (const { partition: number, epoch, claim } of held) {
      const partition = this.partitions[number]
      if (partition === undefined) continue
      if (partition.claim === claim && partition.owner === host) partition.until = until
      // Claimed before the log began.
      else if (partition.epoch < epoch) Object.assign(partition, { owner: host, until, epoch, claim })
    }
    for (const [name, { until: last }] of this.#hosts) if (last <= this.#time) this.#hosts.delete(name)
    return isNew
  }

  #claim({ host, leaseMs, partition: number, nonce }: OwnersSaying & { op: 'claim' }): void {
    const partition = this.partitions[number]
    if (partition === undefined || this.#time < this.#deafUntil || !this.isFree(number, this.#time)) return
    partition.epoch = Math.max(partition.epoch + 1, this.#time)
    partition.claim = `${partition.epoch}-${nonce}`
    partition.owner = host
    partition.until = this.#time + leaseMs
  }
}
