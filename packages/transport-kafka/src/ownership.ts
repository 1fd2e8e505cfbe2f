// What core's lease policy asks of the cluster, for one host. Claims and heartbeats are records of the owners' log; a claim that was won takes over the transactional id of its partition.
import type { Commit } from '@tasks/core'
import type { Clock, Heartbeat, LeaseStore, Lifetime, ProcessIdentity } from '@tasks/core/adapter'
import { thisProcess } from '@tasks/core/adapter'
import { restore } from './changelog'
import type { KafkaDriver, Transactor } from './driver'
import { Inbox } from './inbox'
import { Neighbours } from './neighbours'
import type { Outbox } from './outbox'
import type { OwnersLog } from './owners-log'
import type { Held } from './owners-state'
import { Session } from './session'
import type { Topics } from './topics'

export interface HostParts {
  readonly driver: KafkaDriver
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly topics: Topics
  readonly owners: OwnersLog
  readonly outbox: Outbox
  readonly partitions: number
  /** Never used before. */
  readonly name: string
  /** Bytes of row values that are kept in memory, of one partition. */
  readonly rowBudget: number
  readonly check: (commit: Commit) => void
  /** A host is known to be gone: gives back what it held. */
  readonly bury: (host: string) => Promise<void>
}

/** Enough to be unique among the claims of one millisecond. */
const NONCE_CHARACTERS = 8

export class Host implements LeaseStore {
  readonly partitions: number
  readonly #parts: HostParts
  readonly #leaseMs: number
  readonly #sessions = new Set<Session>()
  /** Won, and not yet sessions. */
  readonly #claiming = new Set<Held>()
  readonly #listeners = new Set<() => void>()
  readonly #process: ProcessIdentity = thisProcess()
  #neighbours: Neighbours | undefined
  readonly #stopListening: () => void
  #cancelExpiry: () => void = () => {}
  #gone = false

  constructor(parts: HostParts, leaseMs: number) {
    this.#parts = parts
    this.#leaseMs = Math.ceil(leaseMs)
    this.partitions = parts.partitions
    this.#stopListening = parts.owners.onNews(() => this.#hear())
  }

  async heartbeat(held: readonly number[]): Promise<Heartbeat> {
    const { owners, lifetime, name } = this.#parts
    lifetime.refuseIfOver()
    const mine = [...this.#sessions].filter(({ partition }) => held.includes(partition))
    await owners.say({
      op: 'beat',
      host: name,
      process: this.#process,
      leaseMs: this.#leaseMs,
      held: [...mine, ...this.#claiming].map(({ partition, epoch, claim }) => ({ partition, epoch, claim })),
    })
    this.#neighbours ??= new Neighbours({ ...this.#parts, state: owners.state, self: this.#process })
    const { state, now } = owners
    this.#expectExpiry(state.nextExpiry(name, now) - now)
    const numbers = Array.from({ length: this.partitions }, (_, partition) => partition)
    return {
      hosts: Math.max(1, state.hosts(now)),
      lost: mine.filter((session) => !this.#has(session)).map(({ partition }) => partition),
      free: numbers.filter((partition) => state.isFree(partition, now)),
    }
  }

  async claim(partition: number, lost: AbortSignal, alive: () => void): Promise<Session | undefined> {
    const { owners, lifetime, name, driver, topics, clock, outbox, rowBudget, check } = this.#parts
    lifetime.refuseIfOver()
    const nonce = clock.uid().slice(0, NONCE_CHARACTERS)
    await owners.say({ op: 'claim', host: name, leaseMs: this.#leaseMs, partition, nonce })
    const { claim, epoch } = owners.state.partitions[partition]!
    if (!claim.endsWith(`-${nonce}`)) return undefined
    const held: Held = { partition, epoch, claim }
    const isMine = (): boolean => !lost.aborted && this.#has(held)
    // From here on heartbeats renew it: what there is to read may take longer than a lease.
    this.#claiming.add(held)
    let transactor: Transactor | undefined
    try {
      transactor = await driver.takeOver(topics.transactionalId(partition), isMine)
      // Slow to take over, it may have been overtaken: then the fence is not to be its own.
      await owners.say({ op: 'mark' })
      if (!isMine()) throw new Overtaken()
      alive()
      const changelog = topics.name('changelog')
      const restored = await restore({
        driver,
        clock,
        place: { topic: changelog, partition },
        budget: rowBudget,
        signal: lost,
        onProgress() {
          if (!isMine()) throw new Overtaken()
          alive()
        },
      })
      const inbox = new Inbox({
        driver,
        clock,
        lifetime,
        lost,
        place: { topic: topics.name('inbox'), partition },
        after: restored.standing.through,
      })
      const session = new Session({
        partition,
        claim,
        epoch,
        lost,
        lifetime,
        transactor,
        outbox,
        inbox,
        restored,
        changelog,
        check,
      })
      this.#sessions.add(session)
      return session
    } catch (error) {
      const overtaken = !isMine()
      transactor?.close()
      await owners.say({ op: 'release', partition, claim }).catch(() => {})
      if (overtaken) return undefined
      throw error
    } finally {
      this.#claiming.delete(held)
    }
  }

  async release(session: Session): Promise<void> {
    session.end()
    this.#sessions.delete(session)
    const { partition, claim } = session
    await this.#parts.owners.say({ op: 'release', partition, claim })
  }

  async leave(): Promise<void> {
    this.#stop()
    await this.#sayGoodbye(false)
  }

  onFree(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Gives everything back at once, handlers or not: the fence keeps them from doing harm. */
  async disown(): Promise<void> {
    this.#stop()
    for (const session of this.#sessions) session.end()
    await this.#sayGoodbye(true)
  }

  async #sayGoodbye(all: boolean): Promise<void> {
    if (this.#gone) return
    this.#gone = all
    await this.#parts.owners.say({ op: 'leave', host: this.#parts.name, all })
  }

  /** By what has been read of the owners' log. */
  #has({ partition: number, claim }: Held): boolean {
    const partition = this.#parts.owners.state.partitions[number]!
    return partition.claim === claim && partition.owner === this.#parts.name
  }

  #stop(): void {
    this.#cancelExpiry()
    this.#stopListening()
    this.#neighbours?.stop()
  }

  #hear(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Whoever has the next lease to run out may have died: that is known then, and not only at the next heartbeat. */
  #expectExpiry(ms: number): void {
    this.#cancelExpiry()
    if (ms < Infinity)
      this.#cancelExpiry = this.#parts.clock.after(Math.max(1, ms + 1), () => this.#hear(), { unref: true })
  }
}

class Overtaken extends Error {}
