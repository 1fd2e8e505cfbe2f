// What core's lease policy asks of the server, for one host.
import type { Heartbeat, LeaseStore } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import { Hosts } from './hosts'
import { Journal } from './journal'
import { Neighbours } from './neighbours'
import type { State } from './record'
import { encodeRecord } from './record'
import { restore } from './restore'
import { withRoom } from './room'
import { Rows } from './rows'
import type { ServerClock } from './server-clock'
import type { SessionParts } from './session'
import { Session } from './session'

export interface HostParts extends SessionParts {
  readonly serverClock: ServerClock
  readonly partitions: number
  readonly patienceMs: number
  /** Of the values of a partition, in memory. */
  readonly rowBytes: number
}

/** Enough to be unique among the claims of one millisecond. */
const NONCE_CHARACTERS = 8
const HOST_CHARACTERS = 12

export class Host implements LeaseStore {
  readonly partitions: number
  readonly #parts: HostParts
  readonly #leaseMs: number
  readonly #name: string
  readonly #hosts: Hosts
  readonly #sessions = new Map<number, Session>()
  /** What this host says that it holds: partitions, with the epochs of their claims. */
  readonly #held = new Map<number, number>()
  /** Those that the policy has asked to renew, the last time. What has just been claimed it does not know yet. */
  #renewed = new Set<number>()
  readonly #listeners = new Set<() => void>()
  #neighbours: Neighbours | undefined
  #reporting: Promise<void> | undefined
  #cancelExpiry: () => void = () => {}
  #isGone = false

  constructor(parts: HostParts, leaseMs: number) {
    this.#parts = parts
    this.#leaseMs = Math.ceil(leaseMs)
    this.partitions = parts.partitions
    this.#name = parts.clock.uid().slice(0, HOST_CHARACTERS)
    this.#hosts = new Hosts({ ...parts, self: this.#name, onChange: () => this.#hear() })
  }

  async heartbeat(held: readonly number[]): Promise<Heartbeat> {
    const { jetstream, lifetime } = this.#parts
    lifetime.refuseIfOver()
    await this.#hosts.ready()
    this.#neighbours ??= new Neighbours({
      ...this.#parts,
      connection: jetstream.connection,
      hosts: this.#hosts,
      self: this.#name,
    })
    // One that is not renewed any more is not said to be held: its handler has ended, or was told to end long ago.
    for (const partition of this.#renewed) if (!held.includes(partition)) this.#held.delete(partition)
    this.#renewed = new Set(held)
    await this.#report()
    const others = this.#hosts.heldByOthers()
    this.#expectExpiry()
    return {
      hosts: this.#hosts.alive().length + 1,
      lost: held.filter((partition) => (others.get(partition) ?? 0) > (this.#sessions.get(partition)?.epoch ?? 0)),
      free: Array.from({ length: this.partitions }, (_, partition) => partition).filter(
        (partition) => !others.has(partition),
      ),
    }
  }

  async claim(partition: number, lost: AbortSignal): Promise<Session | undefined> {
    const { lifetime, patienceMs, rowBytes } = this.#parts
    lifetime.refuseIfOver()
    const journal = new Journal(this.#parts, partition)
    const last = await journal.tail()
    if (last !== undefined && !last.state.released && last.state.host !== this.#name) {
      if (await this.#hosts.holds(last.state.host, partition)) return undefined
    }
    // Said before it is done, so that nobody takes what has just been claimed.
    this.#held.set(partition, 0)
    this.#renewed.delete(partition)
    try {
      const state = this.#newState(last?.state)
      const { sequence: tail } = await withRoom(this.#parts, journal, last?.state, async () => {
        await this.#report()
        return journal.append(encodeRecord('claim', state), last?.sequence ?? 0)
      })
      this.#held.set(partition, state.epoch)
      this.#report().catch(() => {})
      // A million rows may take longer than a lease: whoever reads them waits, the claim does not.
      const abandoned = new AbortController()
      const rows = new Rows({ read: (place) => journal.content(place), budget: rowBytes })
      const restoring = restore({ ...this.#parts, partition, state, tail, rows, patienceMs, signal: abandoned.signal })
      const session = new Session(this.#parts, journal, { state, tail, restoring, abandoned }, lost)
      this.#sessions.set(partition, session)
      return session
    } catch (error) {
      this.#held.delete(partition)
      // Somebody else was quicker.
      if (TaskError.is(error) && error.code === 'TASKS_FENCED') return undefined
      throw error
    }
  }

  async release(session: Session): Promise<void> {
    const { partition } = session
    try {
      await session.release()
    } catch (error) {
      if (!TaskError.is(error) || error.code !== 'TASKS_FENCED') throw error
    } finally {
      if (this.#sessions.get(partition) === session) {
        this.#sessions.delete(partition)
        this.#held.delete(partition)
      }
    }
    if (!this.#isGone) await this.#report()
  }

  async leave(): Promise<void> {
    this.#stop()
    await this.#hosts.leave()
  }

  onFree(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Gives everything back at once, handlers or not: the fence keeps them from doing harm. */
  async disown(): Promise<void> {
    this.#stop()
    await Promise.allSettled([...this.#sessions.values()].map((session) => session.release()))
    await this.#hosts.leave()
  }

  #newState(last: State | undefined): State {
    const { clock } = this.#parts
    // Never less than the time: a store that has lost its tail gives none out again.
    const epoch = Math.max((last?.epoch ?? 0) + 1, Math.floor(clock.now()))
    const claim = `${epoch}-${clock.uid().slice(0, NONCE_CHARACTERS)}`
    const { seq, time, through, relayed, floor } = last ?? { seq: 0, time: 0, through: '', relayed: 0, floor: 1 }
    return { claim, epoch, host: this.#name, seq, time, through, relayed, floor }
  }

  /** What is said in one turn is said once. */
  #report(): Promise<void> {
    this.#reporting ??= Promise.resolve().then(() => {
      this.#reporting = undefined
      return this.#hosts.report({ leaseMs: this.#leaseMs, held: Object.fromEntries(this.#held) })
    })
    return this.#reporting
  }

  #stop(): void {
    this.#isGone = true
    this.#cancelExpiry()
    this.#neighbours?.stop()
    this.#hosts.stop()
  }

  #hear(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Whoever is not heard in time may have died: that is known then, and not only at the next heartbeat. */
  #expectExpiry(): void {
    const ms = this.#hosts.nextExpiryMs()
    this.#cancelExpiry()
    if (ms !== undefined && !this.#isGone)
      this.#cancelExpiry = this.#parts.clock.after(ms + 1, () => this.#hear(), { unref: true })
  }
}
