// What core's lease policy asks of the server, for one host.
import type { Heartbeat, LeaseStore } from '@tasks/core/adapter'
import { BRIEFLY } from './connection'
import type { Keys } from './keys'
import type { Messages } from './messages'
import { connectionOf, hostName, Neighbours } from './neighbours'
import { claim, disown, heartbeat, leave, release } from './scripts/ownership'
import type { SessionParts } from './session'
import { Session } from './session'

export interface HostParts extends Omit<SessionParts, 'keys'> {
  readonly messages: Messages
  readonly keys: Keys
  readonly partitions: number
  readonly newName: () => string
}

/** Enough to be unique among the claims of one millisecond. */
const NONCE_CHARACTERS = 8

export class Host implements LeaseStore {
  readonly partitions: number
  readonly #parts: HostParts
  readonly #leaseMs: number
  readonly #name: string
  readonly #sessions = new Set<Session>()
  readonly #listeners = new Set<() => void>()
  #cancelExpiry: () => void = () => {}
  #stopListening: () => void = () => {}
  #neighbours: Neighbours | undefined

  constructor(parts: HostParts, leaseMs: number) {
    this.#parts = parts
    this.#leaseMs = Math.ceil(leaseMs)
    this.partitions = parts.partitions
    this.#name = hostName(parts.mailbox.connection, parts.newName())
  }

  async heartbeat(held: readonly number[]): Promise<Heartbeat> {
    const { connection, keys, lifetime } = this.#parts
    lifetime.refuseIfOver()
    const answer = await connection.run(heartbeat, this.#allKeys(), [this.#name, this.#leaseMs, keys.owners, ...held])
    const [hosts = 1, nextExpiryMs = -1, lost = 0, ...numbers] = answer as number[]
    this.#expectExpiry(nextExpiryMs)
    return { hosts, lost: numbers.slice(0, lost), free: numbers.slice(lost) }
  }

  async claim(partition: number, lost: AbortSignal): Promise<Session | undefined> {
    const { connection, keys, lifetime, clock } = this.#parts
    lifetime.refuseIfOver()
    const ofPartition = keys.partition(partition)
    const nonce = clock.uid().slice(0, NONCE_CHARACTERS)
    const { state, inbox, rows, index } = ofPartition
    const answer = await connection.run(claim, [state, inbox, rows, index], [this.#name, this.#leaseMs, nonce])
    if (answer === null) return undefined
    const [name, epoch, seq, time, head] = (answer as readonly Buffer[]).map(String) as [string, ...string[]]
    const session = new Session(
      { ...this.#parts, keys: ofPartition },
      { partition, claim: name, epoch: Number(epoch), seq: Number(seq), time: Number(time), head: Number(head) },
      lost,
    )
    this.#sessions.add(session)
    return session
  }

  async release(session: Session): Promise<void> {
    const { connection, keys } = this.#parts
    session.end()
    this.#sessions.delete(session)
    await connection.run(release, [session.keys.state], [session.claim, keys.owners], BRIEFLY)
  }

  async leave(): Promise<void> {
    const { connection, keys } = this.#parts
    this.#stop()
    await connection.run(leave, [keys.hosts], [this.#name, keys.owners], BRIEFLY)
  }

  onFree(listener: () => void): () => void {
    this.#listeners.add(listener)
    this.#listen()
    return () => this.#listeners.delete(listener)
  }

  /** Hears of other hosts from now on. */
  #listen(): void {
    const { messages, keys } = this.#parts
    const { stop } = messages.subscribe(keys.owners, (message) => {
      if (message.toString() !== this.#name) this.#hear()
    })
    this.#stopListening = stop
    const bury = (host: string): Promise<unknown> => this.#disown(host, keys.mailbox(connectionOf(host)))
    this.#neighbours = new Neighbours({ ...this.#parts, host: this.#name, bury })
  }

  /** Gives everything back at once, handlers or not: the fence keeps them from doing harm. */
  async disown(): Promise<void> {
    this.#stop()
    for (const session of this.#sessions) session.end()
    await this.#disown(this.#name)
  }

  /** @param unlessHeard a channel: if somebody listens to it, nothing happens */
  #disown(host: string, ...unlessHeard: readonly string[]): Promise<unknown> {
    const { connection, keys } = this.#parts
    return connection.run(disown, this.#allKeys(), [host, keys.owners, ...unlessHeard])
  }

  #stop(): void {
    this.#cancelExpiry()
    this.#stopListening()
    this.#neighbours?.stop()
  }

  #allKeys(): readonly string[] {
    const { keys } = this.#parts
    return [keys.hosts, ...Array.from({ length: this.partitions }, (_, number) => keys.partition(number).state)]
  }

  #hear(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Whoever has the next lease to run out may have died: that is known then, and not only at the next heartbeat. */
  #expectExpiry(ms: number): void {
    this.#cancelExpiry()
    if (ms >= 0) this.#cancelExpiry = this.#parts.clock.after(ms + 1, () => this.#hear(), { unref: true })
  }
}
