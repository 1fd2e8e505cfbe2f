// The driver: Kafka's protocol, over whatever library makes the connections.
import type { Clock } from '@tasks/core/adapter'
import type {
  Batch,
  Chunk,
  ClusterFacts,
  KafkaDriver,
  Place,
  Range,
  Stored,
  TopicFacts,
  TopicSpec,
  Transactor,
} from '../driver'
import { refused, unavailable } from '../failure'
import { Cluster, Lines } from './cluster'
import { Code, meaningOf } from './codes'
import type { Connect } from './connection'
import { Reader } from './reader'
import { CREATE_TOPICS, DELETE_RECORDS, DESCRIBE_CONFIGS, FIND_COORDINATOR } from './requests'
import { takeOver } from './transactor'
import { explain, Writer } from './writer'

/** What of a client library is used. */
export interface Client {
  /** `host:port` of some brokers, by which the others are found. */
  readonly brokers: () => Promise<readonly string[]>
  readonly connect: Connect
}

export interface DriverOptions {
  readonly client: Client
  readonly clock: Clock
  readonly patienceMs: number
}

const CREATE_MS = 20_000
const ENDS = '__transaction_state'
const TRUNCATE_MS = 5_000

export function driverOn({ client, clock, patienceMs }: DriverOptions): KafkaDriver {
  return new LineDriver(new Cluster({ ...client, clock, patienceMs, silenceMs: Math.max(1_000, patienceMs / 2) }))
}

class LineDriver implements KafkaDriver {
  readonly #cluster: Cluster
  readonly #lines: Lines
  readonly #writer: Writer
  readonly #reader: Reader
  readonly #transactors = new Set<Transactor>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#lines = new Lines(cluster)
    this.#writer = new Writer(cluster, this.#lines)
    this.#reader = new Reader(cluster, new Lines(cluster))
  }

  async cluster(): Promise<ClusterFacts> {
    const brokers = await this.#cluster.patiently('looking at the cluster', async () => {
      if (this.#cluster.brokers === 0) await this.#cluster.refresh()
      return this.#cluster.brokers || undefined
    })
    return { brokers, version: `${brokers} broker${brokers === 1 ? '' : 's'}` }
  }

  describe(topics: readonly string[]): Promise<ReadonlyMap<string, TopicFacts>> {
    return this.#cluster.patiently('looking at topics', async () => {
      await this.#cluster.refresh(topics)
      const found = topics.filter((topic) => this.#cluster.shapeOf(topic) !== undefined)
      const settings = await this.#settingsOf(found)
      return new Map(
        found.map((topic) => [topic, { ...this.#cluster.shapeOf(topic)!, settings: settings.get(topic) }] as const),
      )
    })
  }

  async ends(transactionalId: string): Promise<TopicFacts | undefined> {
    const look = async (): Promise<TopicFacts | undefined> => (await this.describe([ENDS])).get(ENDS)
    let facts = await look()
    if (facts === undefined) {
      // It is made for the first who asks for a coordinator.
      await this.#cluster.patiently(`looking for the coordinator of ${transactionalId}`, async () => {
        const { code } = await this.#lines.to(this.#cluster.someNode()).call(FIND_COORDINATOR, transactionalId)
        if (meaningOf(code) === 'forbidden') throw refused(transactionalId, explain(code))
        if (code !== Code.NONE) throw new Error(explain(code))
        return true
      })
      facts = await look()
    }
    return facts?.settings === undefined ? undefined : facts
  }

  async create(topics: readonly TopicSpec[], replicas: number): Promise<void> {
    let missing = topics
    await this.#cluster.patiently('creating topics', async () => {
      const question = { topics: missing, replicas, timeoutMs: CREATE_MS }
      const answer = await this.#lines.to(this.#cluster.controller).call(CREATE_TOPICS, question, CREATE_MS)
      const failed = answer.filter(({ code }) => code !== Code.NONE && code !== Code.TOPIC_EXISTS)
      for (const { topic, code, message } of failed) {
        const meaning = meaningOf(code)
        if (code === Code.NOT_CONTROLLER) continue
        if (meaning === 'forbidden' || meaning === 'refused')
          throw refused(`topic ${topic}`, `${explain(code)}${message ? `: ${message}` : ''}`)
      }
      missing = missing.filter(({ topic }) => failed.some((failure) => failure.topic === topic))
      return missing.length === 0 || undefined
    })
    // A topic is there before all of its partitions have leaders.
    await this.#cluster.patiently('waiting for topics', async () => {
      await this.#cluster.refresh(topics.map(({ topic }) => topic))
      const led = topics.every(({ topic }) => {
        const shape = this.#cluster.shapeOf(topic)
        return (
          shape !== undefined &&
          Array.from({ length: shape.partitions }, (_, partition) => partition).every(
            (partition) => (this.#cluster.leaderOf({ topic, partition }) ?? -1) >= 0,
          )
        )
      })
      return led || undefined
    })
  }

  produce(batches: readonly Batch[]): Promise<readonly Stored[]> {
    return this.#writer.write(batches)
  }

  read(place: Place, from: number): Promise<Chunk> {
    return this.#reader.read(place, from)
  }

  follow(place: Place, from: number, onChunk: (chunk: Chunk) => void): () => void {
    return this.#reader.follow(place, from, onChunk)
  }

  range(place: Place): Promise<Range> {
    return this.#reader.range(place)
  }

  offsetAt(place: Place, time: number): Promise<number> {
    return this.#reader.offsetAt(place, time)
  }

  async truncate(place: Place, before: number): Promise<void> {
    const leader = this.#cluster.leaderOf(place) ?? -1
    const question = { ...place, before, timeoutMs: TRUNCATE_MS }
    const { code } = await this.#lines.to(leader).call(DELETE_RECORDS, question)
    if (code !== Code.NONE && code !== Code.OFFSET_OUT_OF_RANGE)
      throw unavailable(`letting go of ${place.topic}/${place.partition}`, explain(code), 'no')
  }

  async takeOver(transactionalId: string, isWanted?: () => boolean): Promise<Transactor> {
    const transactor = await takeOver(this.#cluster, transactionalId, isWanted)
    const { close } = transactor
    this.#transactors.add(transactor)
    transactor.close = () => {
      this.#transactors.delete(transactor)
      close.call(transactor)
    }
    return transactor
  }

  close(): void {
    this.#cluster.close()
    this.#writer.close()
    this.#reader.close()
    this.#lines.close()
    for (const transactor of this.#transactors) transactor.close()
  }

  /** Without those that the user may not look at. */
  async #settingsOf(topics: readonly string[]): Promise<ReadonlyMap<string, TopicFacts['settings']>> {
    if (topics.length === 0) return new Map()
    const found = await this.#lines.to(this.#cluster.someNode()).call(DESCRIBE_CONFIGS, topics)
    for (const { topic, code } of found)
      // A broker may not have heard of a topic yet.
      if (code !== Code.NONE && meaningOf(code) !== 'forbidden') throw new Error(`${topic}: ${explain(code)}`)
    return new Map(found.filter(({ code }) => code === Code.NONE).map(({ topic, settings }) => [topic, settings]))
  }
}
