// Shared by adapters whose partitions are held by leases, in a store or by the word of a log: all of ours.
// The policy is here once: how many partitions a host takes, when it gives some back, when a session is over.
//
// L1. A partition has at most one session in this host, from its claim until its release was tried.
// L2. A session whose handler has settled, or that was told to end three heartbeats ago, is not renewed: a stuck handler costs one lease.
// L3. A failing store delays things and ends sessions; it never ends `run`. Only a closed one does (`TASKS_CLOSED`).
//
// The reason of `session.lost` is a TaskError: `TASKS_FENCED` (somebody else owns it) and `TASKS_UNAVAILABLE` (no heartbeat for a lease)
// say that ownership has ended, `TASKS_CLOSED` that it should end: the partition goes to another host, or this one stops.
import type { Clock } from '../clock'
import { sleep } from '../clock'
import { TaskError } from '../errors'
import type { PartitionHost, PartitionSession } from '../transport'
import type { Lifetime } from './lifetime'

export interface LeaseStore {
  readonly partitions: number
  /**
   * Says that this host is alive for another `leaseMs`, renews the leases of the partitions it holds, and reports: `hosts` alive (this one
   * included), which of the held ones are `lost` (somebody else's now), which are `free` (never owned, released, run out, or of a dead process).
   */
  heartbeat(held: readonly number[]): Promise<Heartbeat>
  /**
   * Tries to take a free partition with a new epoch; undefined if somebody else was quicker. `lost` becomes `session.lost`; if it fires before
   * there is a session, nobody waits for one any more. A claim that takes longer than a lease, as one that reads its state first may, renews
   * its own, and calls `alive` each time that it has come further: only a lease of silence ends it.
   */
  claim(partition: number, lost: AbortSignal, alive: () => void): Promise<PartitionSession | undefined>
  /** Gives the partition back at once. No-op if it is not ours any more. */
  release(session: PartitionSession): Promise<void>
  /** This host is gone, and counts no more. What it has not released stays its own until the lease runs out. */
  leave(): Promise<void>
  /** Calls back when a partition may have become free, or a host came or went, to be quicker than the heartbeat. Optional. */
  onFree?(listener: () => void): () => void
}

export interface Heartbeat {
  readonly hosts: number
  readonly lost: readonly number[]
  readonly free: readonly number[]
}

export interface LeasedPartitionsOptions {
  /** How long ownership lasts without a heartbeat; heartbeats are a third of it apart. */
  readonly leaseMs: number
  readonly clock: Clock
  /** That of the space, with which the host ends. */
  readonly lifetime?: Lifetime
  /** Has the store while the host runs: for whoever closes the space, and gives everything back. */
  readonly running?: Set<LeaseStore>
}

/** A host of a store's partitions: claims its share, keeps it by heartbeats, hands it over. */
export function leasedPartitions(store: LeaseStore, options: LeasedPartitionsOptions): PartitionHost {
  const { lifetime, running = new Set<LeaseStore>() } = options
  return {
    async run(onOwned, signal) {
      lifetime?.refuseIfOver()
      if (running.has(store)) throw new TaskError('TASKS_ARGUMENTS', 'this partition host is running already')
      running.add(store)
      try {
        const ending = lifetime === undefined ? signal : AbortSignal.any([signal, lifetime.signal])
        await new Tenancy(store, options, onOwned).run(ending)
      } finally {
        running.delete(store)
      }
    },
  }
}

const FIRST_DELAY_MS = 50
const RENEWALS_AFTER_LOST = 3
const RELEASE_TRIES = 4

interface Holding {
  readonly session: PartitionSession
  readonly lost: AbortController
  /** Somebody else has it, or its handler has settled: not to be renewed. */
  over: boolean
  renewalsAfterLost: number
}

/** One `run` of a host. Nothing in it waits for the store in line: a call that hangs holds up nothing but itself. */
class Tenancy {
  readonly #store: LeaseStore
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #onOwned: (session: PartitionSession) => Promise<void>
  readonly #held = new Map<number, Holding>()
  /** Claims under way, each with what ends it. */
  readonly #claiming = new Map<number, AbortController>()
  /** Partitions whose last claim or session ended early: how long to leave them alone next time, and which are being left alone. */
  readonly #penalties = new Map<number, number>()
  readonly #resting = new Map<number, () => void>()
  #beating = false
  #beatAgain = false
  #failures = 0
  #cancelBeat: () => void = () => {}
  #cancelWatchdog: () => void = () => {}
  #ending = false
  #failure: TaskError | undefined
  #left: Promise<void> | undefined
  #ended: () => void = () => {}

  constructor(
    store: LeaseStore,
    options: LeasedPartitionsOptions,
    onOwned: (session: PartitionSession) => Promise<void>,
  ) {
    this.#store = store
    this.#clock = options.clock
    this.#leaseMs = options.leaseMs
    this.#onOwned = onOwned
  }

  async run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const ended = new Promise<void>((resolve) => (this.#ended = resolve))
    const stop = (): void => this.#end()
    signal.addEventListener('abort', stop, { once: true })
    const unlisten = this.#store.onFree?.(() => this.#beat())
    this.#beat()
    await ended
    unlisten?.()
    signal.removeEventListener('abort', stop)
    await this.#leave()
    if (this.#failure !== undefined) throw this.#failure
  }

  // ---- Heartbeats

  #beat(): void {
    if (this.#ending) return
    if (this.#beating) {
      this.#beatAgain = true
      return
    }
    this.#beating = true
    this.#cancelBeat()
    const renewed = [...this.#held.values()].filter((holding) => this.#renews(holding))
    // The lease runs from when it was asked for, not from when the answer came.
    const cancelWatchdog = this.#clock.after(this.#leaseMs, () => this.#silent(), { unref: true })
    const previous = this.#cancelWatchdog
    this.#cancelWatchdog = () => {
      cancelWatchdog()
      previous()
    }
    this.#within(() => this.#store.heartbeat(renewed.map((holding) => holding.session.partition))).then(
      (report) => {
        previous()
        this.#cancelWatchdog = cancelWatchdog
        this.#failures = 0
        if (!this.#ending) this.#apply(report, renewed)
        this.#nextBeat(this.#leaseMs / 3)
      },
      (error: unknown) => {
        cancelWatchdog()
        this.#cancelWatchdog = previous
        if (isClosed(error)) this.#end(error)
        // Often enough that a short outage costs no session.
        this.#nextBeat(this.#jitter(Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, this.#leaseMs / 8)))
      },
    )
  }

  #nextBeat(ms: number): void {
    this.#beating = false
    if (this.#ending) return
    // Calls that came while one was on its way become one, even when the store calls back during its own answer.
    if (this.#beatAgain && this.#failures === 0) this.#cancelBeat = this.#clock.after(0, () => this.#beat())
    else this.#cancelBeat = this.#clock.after(ms, () => this.#beat())
    this.#beatAgain = false
  }

  #renews(holding: Holding): boolean {
    if (holding.over) return false
    return !holding.lost.signal.aborted || holding.renewalsAfterLost++ < RENEWALS_AFTER_LOST
  }

  #silent(): void {
    for (const [partition, lost] of this.#all()) {
      lost.abort(
        new TaskError(
          'TASKS_UNAVAILABLE',
          `no heartbeat for ${this.#leaseMs} ms: partition ${partition} may be another's`,
        ),
      )
    }
  }

  /** What is held, and what is being claimed. */
  #all(): [partition: number, lost: AbortController][] {
    return [
      ...[...this.#held].map(([partition, { lost }]): [number, AbortController] => [partition, lost]),
      ...this.#claiming,
    ]
  }

  #apply(report: Heartbeat, renewed: readonly Holding[]): void {
    const lost = new Set(report.lost)
    for (const holding of renewed) {
      if (!lost.has(holding.session.partition)) continue
      holding.over = true
      holding.lost.abort(new TaskError('TASKS_FENCED', `partition ${holding.session.partition} has another owner now`))
    }
    const share = Math.ceil(this.#store.partitions / Math.max(1, report.hosts))
    const kept = [...this.#held.values()].filter((holding) => !holding.lost.signal.aborted)
    const room = share - kept.length - this.#claiming.size
    // The newest go first: their caches are the coldest.
    for (const { session, lost: surplus } of kept.slice(share)) {
      surplus.abort(new TaskError('TASKS_CLOSED', `partition ${session.partition} goes to another host`))
    }
    if (room <= 0) return
    const free = report.free.filter((p) => !this.#held.has(p) && !this.#claiming.has(p) && !this.#resting.has(p))
    // Two hosts that see the same free ones start at different places.
    const start = Math.floor(this.#clock.random() * free.length)
    for (let i = 0; i < Math.min(room, free.length); i++) this.#claim(free[(start + i) % free.length]!)
  }

  // ---- Sessions

  #claim(partition: number): void {
    const lost = new AbortController()
    this.#claiming.set(partition, lost)
    let late = false
    let alive = (): void => {}
    const asked = attempt(() => this.#store.claim(partition, lost.signal, () => alive()))
    asked.then(
      (session) => void (late && session !== undefined && this.#release(session)),
      () => {},
    )
    const answered = this.#within(
      () => asked,
      (again) => (alive = again),
    )
    answered.then(
      async (session) => {
        if (session !== undefined && !lost.signal.aborted) this.#hold(session, lost)
        this.#claiming.delete(partition)
        if (session !== undefined && lost.signal.aborted) await this.#release(session)
        // Somebody else was quicker, and there may be others.
        if (session === undefined) this.#letRest(partition)
        this.#checkEnd()
      },
      () => {
        late = true
        lost.abort(
          new TaskError('TASKS_UNAVAILABLE', `partition ${partition} could not be claimed within ${this.#leaseMs} ms`),
        )
        this.#claiming.delete(partition)
        this.#letRest(partition)
        this.#checkEnd()
      },
    )
  }

  #hold(session: PartitionSession, lost: AbortController): void {
    const holding: Holding = { session, lost, over: false, renewalsAfterLost: 0 }
    this.#held.set(session.partition, holding)
    void this.#serve(holding)
  }

  async #serve(holding: Holding): Promise<void> {
    const { session, lost } = holding
    const since = this.#clock.monotonic()
    try {
      await this.#onOwned(session)
    } catch {
      // The handler reports its own errors; here they only mean that it has ended.
    }
    const byItself = !lost.signal.aborted
    holding.over = true
    lost.abort(new TaskError('TASKS_CLOSED', `partition ${session.partition} was given back`))
    await this.#release(session)
    this.#held.delete(session.partition)
    if (this.#clock.monotonic() - since >= this.#leaseMs) this.#penalties.delete(session.partition)
    if (byItself) this.#letRest(session.partition)
    this.#checkEnd()
  }

  async #release(session: PartitionSession): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#within(() => this.#store.release(session))
      } catch (error) {
        if (isClosed(error) || isSilence(error) || tries === RELEASE_TRIES) return
        await sleep(this.#clock, this.#jitter(FIRST_DELAY_MS * 2 ** tries))
      }
    }
  }

  /** The first time a partition ends early it is claimed again at once; each time after that, later. */
  #letRest(partition: number): void {
    if (this.#ending) return
    const delay = this.#penalties.get(partition)
    this.#penalties.set(partition, Math.min((delay ?? FIRST_DELAY_MS / 2) * 2, this.#leaseMs / 3))
    if (delay === undefined) return this.#beat()
    const rested = (): void => {
      this.#resting.delete(partition)
      this.#beat()
    }
    this.#resting.set(partition, this.#clock.after(this.#jitter(delay), rested))
  }

  // ---- The end

  #end(failure?: TaskError): void {
    if (this.#ending) return
    this.#ending = true
    this.#failure = failure
    this.#cancelBeat()
    this.#cancelWatchdog()
    for (const cancel of this.#resting.values()) cancel()
    for (const [partition, lost] of this.#all())
      lost.abort(failure ?? new TaskError('TASKS_CLOSED', `this host stops: partition ${partition} goes to another`))
    // While this host counts, the others leave its share alone: one slow handler must not keep them from what was released.
    const cancelLeave = this.#clock.after(this.#leaseMs / 3, () => void this.#leave(), { unref: true })
    const ended = this.#ended
    this.#ended = () => {
      cancelLeave()
      ended()
    }
    this.#checkEnd()
  }

  #checkEnd(): void {
    if (this.#ending && this.#held.size === 0 && this.#claiming.size === 0) this.#ended()
  }

  #leave(): Promise<void> {
    this.#left ??= this.#within(() => this.#store.leave()).catch(() => {})
    return this.#left
  }

  // ---- Waiting

  /** The answer of the store, if it comes within a lease, or within one of the last time that `again` was called: later it is worth nothing. */
  #within<T>(call: () => Promise<T>, onStart: (again: () => void) => void = () => {}): Promise<T> {
    return new Promise((resolve, reject) => {
      let cancel = (): void => {}
      const giveUp = (): void => reject(new Silence(`no answer within ${this.#leaseMs} ms`))
      const wait = (): void => {
        cancel()
        cancel = this.#clock.after(this.#leaseMs, giveUp, { unref: true })
      }
      wait()
      onStart(wait)
      attempt(call)
        .then(resolve, reject)
        .finally(() => cancel())
    })
  }

  #jitter(ms: number): number {
    return ms * (0.5 + this.#clock.random() / 2)
  }
}

class Silence extends Error {}

function isSilence(error: unknown): boolean {
  return error instanceof Silence
}

function isClosed(error: unknown): error is TaskError {
  return TaskError.is(error) && error.code === 'TASKS_CLOSED'
}

async function attempt<T>(call: () => Promise<T>): Promise<T> {
  return call()
}
