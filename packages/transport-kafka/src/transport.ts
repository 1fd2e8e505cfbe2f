import type { Capabilities, Logger, OpenOptions, Space, Transport } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { systemClock, TaskError } from '@tasks/core/adapter'
import type { KafkaConfig } from 'kafkajs'
import type { PlatformaticOptions } from './clients'
import { kafkajsClient, platformaticClient } from './clients'
import type { ClusterFacts, KafkaDriver } from './driver'
import type { Durability } from './durability'
import { parseDurability } from './durability'
import { closed } from './failure'
import { MAX_COMMIT_BYTES, MAX_COMMIT_ITEMS, MAX_MESSAGE_BYTES, PRIORITIES } from './limits'
import { openNamespace } from './namespace'
import type { Client } from './protocol/driver'
import { driverOn } from './protocol/driver'
import { openSpace } from './space'
import { Topics } from './topics'
import { parseUrl } from './url'

export interface KafkaTransportOptions {
  /** `kafka://host-1:9092,host-2:9092?prefix=…`; credentials, `ssl=true` and `sasl=scram-sha-512` for brokers that ask for them. */
  readonly url?: string
  /** kafkajs' own options: brokers, `ssl`, `sasl`. They are passed on as they are. */
  readonly connection?: KafkaConfig
  /** In place of kafkajs: the options of `@platformatic/kafka`, which needs Node 22.22. They are passed on as they are. */
  readonly platformatic?: PlatformaticOptions
  /** What topics and transactional ids of this application begin with. Default `tasks`. */
  readonly prefix?: string
  /**
   * How many replicas topics are created with; topics that have fewer are refused. Default: 3, or as many as there are brokers, and fewer are reported to the
   * logger. With 3 or more, two must have what counts as stored.
   */
  readonly replicas?: number
  /** The least that the topics must promise, or `open` refuses. Default `process`. */
  readonly durability?: Durability
  /** How long a call is tried while the cluster cannot be reached, in ms. Default 10,000. */
  readonly patienceMs?: number
  /** How many bytes of row values an owner keeps in memory, for each partition. What is not kept is read again when it is needed. Default 32 MiB. */
  readonly rowBytes?: number
  /** Hears what the client library says, and of topics with fewer replicas than they could have. Default: nobody; a URL has the logger of the worker or client. */
  readonly logger?: Pick<Logger, 'debug' | 'warn'>
  /** For tests. */
  readonly clock?: Clock
}

/** In place of kafkajs. For tests, and for those who write another driver. */
export interface DriverOptions extends Omit<KafkaTransportOptions, 'url' | 'connection' | 'platformatic'> {
  readonly driver: KafkaDriver
}

const PATIENCE_MS = 10_000
const DEFAULT_PREFIX = 'tasks'
const DEFAULT_REPLICAS = 3
const ROW_BYTES = 32 * 1024 * 1024

/** What is true of every cluster. The rest is known once a namespace is open. */
const CAPABILITIES: Capabilities = {
  durability: 'process',
  maxMessageBytes: MAX_MESSAGE_BYTES,
  maxCommitBytes: MAX_COMMIT_BYTES,
  maxCommitItems: MAX_COMMIT_ITEMS,
  priorities: PRIORITIES,
  shared: true,
  server: 'Kafka, not connected yet',
}

/** Tasks on a Kafka cluster. Its `capabilities` are the cluster's from the first `open` on. */
export function kafkaTransport(options: KafkaTransportOptions): Transport {
  return transportOn(options)
}

/** What `connect('kafka://…')` of core calls: looks at the cluster at once. */
export async function fromUrl(url: string, options: Omit<KafkaTransportOptions, 'url'> = {}): Promise<Transport> {
  const transport = new KafkaTransport({ ...options, url })
  try {
    await transport.connect()
  } catch (error) {
    await transport.close()
    throw error
  }
  return transport
}

export function transportOn(options: KafkaTransportOptions | DriverOptions): Transport {
  return new KafkaTransport(options)
}

class KafkaTransport implements Transport {
  readonly name = 'kafka'
  readonly #driver: KafkaDriver
  readonly #clock: Clock
  readonly #prefix: string
  readonly #replicas: number | undefined
  readonly #durability: Durability
  readonly #rowBudget: number
  readonly #logger: KafkaTransportOptions['logger']
  readonly #spaces = new Set<Space>()
  /** Names this connection among all that use the cluster. */
  readonly #connectionName: string
  #names = 0
  #capabilities = CAPABILITIES
  #closed = false

  constructor(options: KafkaTransportOptions | DriverOptions) {
    const { clock = systemClock, patienceMs = PATIENCE_MS, rowBytes = ROW_BYTES, logger } = options
    const given: KafkaTransportOptions = 'driver' in options ? {} : options
    const location = given.url === undefined ? undefined : parseUrl(given.url)
    this.#clock = clock
    this.#prefix = options.prefix ?? location?.prefix ?? DEFAULT_PREFIX
    this.#replicas = options.replicas ?? location?.replicas
    this.#durability = parseDurability(options.durability ?? location?.durability ?? 'process')
    this.#rowBudget = rowBytes
    this.#logger = logger
    this.#connectionName = clock.uid().slice(0, 12)
    if ('driver' in options) this.#driver = options.driver
    else {
      const config = { clientId: this.#prefix, ...location?.client, ...given.connection }
      this.#driver = driverOn({ client: clientOf(config, given.platformatic, logger), clock, patienceMs })
    }
  }

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  /** Looks at the cluster. */
  async connect(): Promise<ClusterFacts> {
    this.#refuseIfClosed()
    const facts = await this.#driver.cluster()
    this.#capabilities = { ...this.#capabilities, server: `Kafka, ${facts.version}` }
    return facts
  }

  async open(options: OpenOptions): Promise<Space> {
    const { brokers, version } = await this.connect()
    const driver = this.#driver
    const topics = new Topics(this.#prefix, options.namespace)
    const replicas = this.#replicas ?? Math.min(DEFAULT_REPLICAS, brokers)
    const { partitions, durability, replication, retention } = await openNamespace(
      {
        driver,
        topics,
        clock: this.#clock,
        replicas,
        areAsked: this.#replicas !== undefined,
        least: replicas >= DEFAULT_REPLICAS ? 2 : 1,
        onWarning: (message) => this.#logger?.warn({ replicas, brokers }, message),
        durability: this.#durability,
      },
      options,
    )
    this.#refuseIfClosed()
    this.#capabilities = { ...this.#capabilities, durability, server: `Kafka, ${version}, ${replication}` }
    const space = openSpace({
      namespace: options.namespace,
      partitions,
      capabilities: this.#capabilities,
      driver,
      clock: this.#clock,
      topics,
      // A connection may open a namespace several times.
      name: `${this.#connectionName}-${(++this.#names).toString(36)}`,
      rowBudget: this.#rowBudget,
      retention,
      onClose: (closedSpace) => this.#spaces.delete(closedSpace),
    })
    this.#spaces.add(space)
    return space
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([...this.#spaces].map((space) => space.close()))
    this.#driver.close()
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw closed()
  }
}

function clientOf(
  { brokers, ...config }: Partial<KafkaConfig>,
  platformatic: PlatformaticOptions | undefined,
  logger: KafkaTransportOptions['logger'],
): Client {
  if (platformatic !== undefined) {
    if (brokers !== undefined)
      throw new TaskError('TASKS_OPTIONS', 'kafkaTransport takes url and connection, or platformatic, not both')
    return platformaticClient(platformatic)
  }
  if (brokers === undefined)
    throw new TaskError('TASKS_OPTIONS', 'kafkaTransport needs url, or connection with brokers, or platformatic')
  // What it reports as an error is tried again here, and thrown if that does not help.
  return kafkajsClient({ ...config, brokers }, (level, message, details) =>
    logger?.[level === 'error' ? 'debug' : level](details, `kafkajs: ${message}`),
  )
}
