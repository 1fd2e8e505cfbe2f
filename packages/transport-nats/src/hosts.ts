// The hosts of a namespace, as one of them sees it. Each says regularly that it is alive and what it holds, in a message that is kept for those who come later. Whoever
// has not been heard for its own lease, by the clock of the listener, is dead. Nothing here is needed for safety: the journal fences.
import type { Clock } from '@tasks/core/adapter'
import type { JetStream } from './jetstream'
import type { Names } from './names'
import type { ServerClock } from './server-clock'

export interface Report {
  readonly leaseMs: number
  /** Partitions, each with the epoch of its claim; 0 while it is being claimed. */
  readonly held: Readonly<Record<number, number>>
}

interface Known extends Report {
  /** By the clock of this process. */
  readonly heardAt: number
}

export interface HostsOptions {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly serverClock: ServerClock
  readonly names: Names
  /** This one, whose own reports are not heard. */
  readonly self: string
  /** Somebody came or went, or holds something else than before. */
  readonly onChange: () => void
}

export class Hosts {
  readonly #options: HostsOptions
  readonly #known = new Map<string, Known>()
  #stop: () => void = () => {}
  #loading: Promise<void> | undefined

  constructor(options: HostsOptions) {
    this.#options = options
  }

  /** Listens, and reads what was said before. */
  async ready(): Promise<void> {
    this.#loading ??= this.#load()
    this.#loading.catch(() => (this.#loading = undefined))
    await this.#loading
  }

  stop(): void {
    this.#stop()
    this.#stop = () => {}
  }

  /** The others that are alive. */
  alive(): string[] {
    const now = this.#options.clock.monotonic()
    for (const [host, { heardAt, leaseMs }] of this.#known) if (heardAt + leaseMs <= now) this.#known.delete(host)
    return [...this.#known.keys()]
  }

  /** In how many ms the next of them is dead unless it is heard. */
  nextExpiryMs(): number | undefined {
    const now = this.#options.clock.monotonic()
    const left = [...this.#known.values()].map(({ heardAt, leaseMs }) => heardAt + leaseMs - now)
    return left.length === 0 ? undefined : Math.max(0, Math.min(...left))
  }

  /** What the others hold: the highest epoch of each partition. */
  heldByOthers(): Map<number, number> {
    const held = new Map<number, number>()
    for (const host of this.alive())
      for (const [partition, epoch] of Object.entries(this.#known.get(host)!.held))
        held.set(Number(partition), Math.max(epoch, held.get(Number(partition)) ?? 0))
    return held
  }

  /** Whether a host is alive and holds a partition; one that was never heard is asked for. */
  async holds(host: string, partition: number): Promise<boolean> {
    if (!this.#known.has(host)) await this.#lookUp(host)
    return this.alive().includes(host) && partition in this.#known.get(host)!.held
  }

  forget(host: string): void {
    if (!this.#known.delete(host)) return
    this.#purge(host)
    this.#options.onChange()
  }

  /** Says it to the others. */
  async report(report: Report): Promise<void> {
    const { jetstream, names, self } = this.#options
    const data = Buffer.from(JSON.stringify(report))
    await jetstream.connection.insist('heartbeat', true, () => jetstream.store(names.host(self), data))
  }

  /** This host is gone. */
  async leave(): Promise<void> {
    await this.report({ leaseMs: 0, held: {} })
    this.#purge(this.#options.self)
  }

  #purge(host: string): void {
    const { jetstream, names } = this.#options
    jetstream.purge(names.streams.state, names.host(host)).catch(() => {})
  }

  async #load(): Promise<void> {
    const { jetstream, clock, names } = this.#options
    this.#stop()
    const { stop } = jetstream.connection.subscribe(names.host('*'), ({ subject, data }) =>
      this.#hear(subject, data, clock.monotonic()),
    )
    this.#stop = stop
    // One by one: they are few, and each is replaced all the time.
    const subjects = await jetstream.subjects(names.streams.state, names.host('*'))
    await Promise.all(subjects.map((subject) => this.#lookUp(hostOf(subject))))
  }

  async #lookUp(host: string): Promise<void> {
    const { jetstream, clock, serverClock, names } = this.#options
    const found = await jetstream.find(names.streams.state, { last_by_subj: names.host(host) })
    if (found === undefined) return
    this.#hear(found.subject, found.data, clock.monotonic() - Math.max(0, (await serverClock.now()) - found.at))
  }

  #hear(subject: string, data: Uint8Array, heardAt: number): void {
    const host = hostOf(subject)
    const before = this.#known.get(host)
    if (host === this.#options.self || (before !== undefined && before.heardAt > heardAt)) return
    let report: Report
    try {
      report = JSON.parse(Buffer.from(data).toString()) as Report
    } catch {
      return
    }
    if (report.leaseMs > 0) this.#known.set(host, { ...report, heardAt })
    else this.#known.delete(host)
    if (!isSame(before?.held, this.#known.get(host)?.held)) this.#options.onChange()
  }
}

function hostOf(subject: string): string {
  return subject.slice(subject.lastIndexOf('.') + 1)
}

function isSame(a: Report['held'] | undefined, b: Report['held'] | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
