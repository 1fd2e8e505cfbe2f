// Which brokers there are, and which of them leads what. Connections are made for a purpose: a request that waits at the broker holds up those behind it on its connection.
import type { Clock } from '@tasks/core/adapter'
import { sleep } from '@tasks/core/adapter'
import { setMaxListeners } from 'node:events'
import type { Place } from '../driver'
import { closed, isFinal, unavailable } from '../failure'
import type { Address } from './connection'
import type { LineOptions } from './line'
import { Line } from './line'
import type { MetadataAnswer } from './requests'
import { METADATA } from './requests'

export interface ClusterOptions extends LineOptions {
  /** `host:port` of some brokers, by which the others are found. */
  readonly brokers: () => Promise<readonly string[]>
  readonly patienceMs: number
}

export interface TopicShape {
  readonly partitions: number
  readonly replicas: number
}

/** A set of connections for one purpose, one to each broker. */
export class Lines {
  readonly #cluster: Cluster
  readonly #lines = new Map<number, { readonly address: Address; readonly line: Line }>()
  #closed = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  to(node: number): Line {
    if (this.#closed) throw closed()
    const address = this.#cluster.addressOf(node)
    const known = this.#lines.get(node)
    // A broker may come back elsewhere.
    if (known !== undefined && known.address.host === address.host && known.address.port === address.port)
      return known.line
    known?.line.close()
    const line = this.#cluster.newLine(address)
    this.#lines.set(node, { address, line })
    return line
  }

  cut(node: number): void {
    this.#lines.get(node)?.line.cut()
  }

  close(): void {
    this.#closed = true
    for (const { line } of this.#lines.values()) line.close()
  }
}

const FIRST_DELAY_MS = 10
const MOST_DELAY_MS = 500

export class Cluster {
  readonly clock: Clock
  readonly patienceMs: number
  readonly #options: ClusterOptions
  readonly #brokers = new Map<number, Address>()
  readonly #leaders = new Map<string, number[]>()
  readonly #shapes = new Map<string, TopicShape>()
  #controller = -1
  #seed: Line | undefined
  #turn = 0
  #asking: Promise<void> | undefined
  #wanted = new Set<string>()
  readonly #over = new AbortController()

  constructor(options: ClusterOptions) {
    this.#options = options
    this.clock = options.clock
    this.patienceMs = options.patienceMs
    // Everything that sleeps listens to it: Node 20 warns of more than ten.
    setMaxListeners(0, this.#over.signal)
  }

  get brokers(): number {
    return this.#brokers.size
  }

  get over(): AbortSignal {
    return this.#over.signal
  }

  newLine(address: Address): Line {
    return new Line(this.#options, address)
  }

  addressOf(node: number): Address {
    const address = this.#brokers.get(node)
    if (address === undefined) throw unavailable(`broker ${node}`, 'it is not there', 'no')
    return address
  }

  get controller(): number {
    return this.#controller
  }

  /** A broker that is known to be there. */
  someNode(): number {
    const nodes = [...this.#brokers.keys()]
    return nodes[this.#turn++ % nodes.length] ?? -1
  }

  shapeOf(topic: string): TopicShape | undefined {
    return this.#shapes.get(topic)
  }

  /** The broker that leads it, as far as is known; -1: none. */
  leaderOf({ topic, partition }: Place): number | undefined {
    return this.#leaders.get(topic)?.[partition]
  }

  /** Asks who leads these topics, those that are known, and others that are asked for at the same time. */
  async refresh(topics: readonly string[] = []): Promise<void> {
    for (const topic of topics) this.#wanted.add(topic)
    // What is asked for while an answer is on its way goes with the next question.
    while (this.#asking !== undefined) {
      await this.#asking.catch(() => {})
      if (topics.every((topic) => this.#leaders.has(topic)) && topics.length > 0) return
    }
    const asking = (this.#asking = this.#ask([...new Set([...this.#wanted, ...this.#leaders.keys()])]))
    this.#wanted = new Set()
    try {
      await asking
    } finally {
      this.#asking = undefined
    }
  }

  /** Calls `attempt` until it answers something else than undefined, and looks at the cluster anew in between. */
  async patiently<T>(what: string, attempt: () => Promise<T | undefined>, patienceMs = this.patienceMs): Promise<T> {
    const until = this.clock.monotonic() + patienceMs
    let last: unknown
    for (let tries = 0; ; tries++) {
      this.#refuseIfClosed()
      try {
        const found = await attempt()
        if (found !== undefined) return found
      } catch (error) {
        if (isFinal(error)) throw error
        last = error
      }
      this.#refuseIfClosed()
      if (this.clock.monotonic() > until)
        throw unavailable(what, last instanceof Error ? last.message : 'no broker answers', 'no', last)
      await this.pause(tries)
      await this.refresh().catch((error: unknown) => (last = error))
    }
  }

  pause(tries: number): Promise<void> {
    const ms = Math.min(FIRST_DELAY_MS * 2 ** Math.min(tries, 10), MOST_DELAY_MS)
    return sleep(this.clock, ms * (0.5 + this.clock.random() / 2), this.#over.signal).catch(() => {})
  }

  close(): void {
    this.#over.abort(closed())
    this.#seed?.close()
  }

  #refuseIfClosed(): void {
    if (this.#over.signal.aborted) throw closed()
  }

  async #ask(topics: readonly string[]): Promise<void> {
    this.#refuseIfClosed()
    const answer = await this.#askSomebody(topics)
    if (answer.brokers.length > 0) this.#brokers.clear()
    for (const { node, host, port } of answer.brokers) this.#brokers.set(node, { host, port })
    this.#controller = answer.controller
    for (const { code, topic, partitions } of answer.topics) {
      // Without a leader it may have an error, and is there all the same.
      if (code !== 0 && partitions.length === 0) {
        this.#leaders.delete(topic)
        this.#shapes.delete(topic)
        continue
      }
      const leaders: number[] = []
      for (const { partition, leader } of partitions) leaders[partition] = leader
      this.#leaders.set(topic, leaders)
      this.#shapes.set(topic, {
        partitions: partitions.length,
        replicas: Math.min(...partitions.map(({ replicas }) => replicas)),
      })
    }
  }

  /** The connection that answered last, else the next of those that were given. */
  async #askSomebody(topics: readonly string[]): Promise<MetadataAnswer> {
    const seeds = await this.#seeds()
    let last: unknown
    for (let tries = 0; tries <= seeds.length; tries++) {
      this.#seed ??= this.newLine(seeds[this.#turn++ % seeds.length]!)
      try {
        return await this.#seed.call(METADATA, topics)
      } catch (error) {
        last = error
        this.#seed.close()
        this.#seed = undefined
        this.#refuseIfClosed()
      }
    }
    throw unavailable('no broker can be reached', last instanceof Error ? last.message : String(last), 'no', last)
  }

  async #seeds(): Promise<readonly Address[]> {
    const list = await this.#options.brokers()
    const given = list.map((address) => {
      const at = address.lastIndexOf(':')
      // An address of IPv6 is in brackets there, and nowhere else.
      return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) }
    })
    return [...given, ...this.#brokers.values()]
  }
}
