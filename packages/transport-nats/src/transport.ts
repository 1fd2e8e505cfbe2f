import type { Capabilities, OpenOptions, Space, Transport } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { systemClock, TaskError } from '@tasks/core/adapter'
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import type { Neighbourhood } from './broadcasts'
import type { Client } from './client'
import { existing, withOptions } from './client'
import { Connection } from './connection'
import type { StreamConfig } from './jetstream'
import { JetStream } from './jetstream'
import {
  EVENTS_KEPT_BYTES,
  EVENTS_KEPT_MS,
  MAX_COMMIT_BYTES,
  MAX_COMMIT_ITEMS,
  maxMessageBytes,
  PRIORITIES,
} from './limits'
import { Names } from './names'
import { openNamespace } from './namespace'
import type { Durability } from './server'
import { checkDurability, checkServer, describeServer, durabilityOf, syncsAlways } from './server'
import { openSpace } from './space'
import { parseDurability, parseReplicas, parseUrl } from './url'

export interface NatsTransportOptions {
  /** `nats://user:password@a:4222,b:4222`, `tls+nats://…` with TLS; may end in `?prefix=…&durability=…&replicas=…&monitor=…`. */
  readonly url?: string
  /** Settings of the client library: servers, credentials, nkey, JWT, TLS, inbox prefix. They are passed on, apart from those that decide how long it reconnects. */
  readonly connection?: NodeConnectionOptions
  /** A connection of the client library, in place of `url` and `connection`: it is used, and left open. */
  readonly client?: NatsConnection
  /** What streams and subjects of this application begin with. Default `tasks`. */
  readonly prefix?: string
  /**
   * The least that the streams must promise: `process` (the default) asks for files, `fsync` for `sync_interval: always`, `replicated` for three copies,
   * `none` takes streams in memory.
   */
  readonly durability?: Durability
  /** How many servers keep a copy of what is created: 1, 3 or 5. Default: 3 on a cluster, else 1. */
  readonly replicas?: 1 | 3 | 5
  /** The server's monitoring port, `http://host:8222`: nothing else tells whether it syncs before it answers. */
  readonly monitor?: string
  /** How long a call is tried while the server cannot be reached, in ms. Default 10,000. */
  readonly patienceMs?: number
  /** Bytes of row values that an owner keeps in memory for each partition; the others are read from the journal when they are needed. Default 32 MiB. */
  readonly rowBytes?: number
  /** For tests. */
  readonly clock?: Clock
}

const PATIENCE_MS = 10_000
const ROW_BYTES = 32 * 1024 * 1024
const MOST_SILENCE_MS = 5_000
const DEFAULT_PREFIX = 'tasks'
const DEFAULT_PAYLOAD = 1024 * 1024

/** What is true of every server that is taken. The rest is known once it has been looked at. */
const CAPABILITIES: Capabilities = {
  durability: 'none',
  maxMessageBytes: maxMessageBytes(DEFAULT_PAYLOAD),
  maxCommitBytes: MAX_COMMIT_BYTES,
  maxCommitItems: MAX_COMMIT_ITEMS,
  priorities: PRIORITIES,
  shared: true,
  server: 'NATS, not connected yet',
}

/** Tasks on NATS JetStream. Its `capabilities` are the server's from the first `open` on. */
export function natsTransport(options: NatsTransportOptions): Transport {
  return new NatsTransport(options)
}

/** What `connect('nats://…')` of core calls: looks at the server at once, and refuses it if it must. */
export async function fromUrl(url: string, options: Omit<NatsTransportOptions, 'url'> = {}): Promise<Transport> {
  const transport = new NatsTransport({ ...options, url })
  try {
    await transport.connect()
  } catch (error) {
    await transport.close()
    throw error
  }
  return transport
}

class NatsTransport implements Transport {
  readonly name = 'nats'
  readonly #client: Client
  readonly #prefix: string
  readonly #durability: Durability
  readonly #replicas: number | undefined
  readonly #monitor: string | undefined
  readonly #patienceMs: number
  readonly #rowBytes: number
  readonly #clock: Clock
  readonly #spaces = new Set<Space>()
  readonly #neighbourhood: Neighbourhood = new Map()
  #connecting: Promise<Connection> | undefined
  #capabilities = CAPABILITIES
  #closed = false

  constructor(options: NatsTransportOptions) {
    const { url, connection, client, patienceMs = PATIENCE_MS, rowBytes = ROW_BYTES, clock = systemClock } = options
    if (client !== undefined && (url !== undefined || connection !== undefined))
      throw new TaskError('TASKS_OPTIONS', 'natsTransport takes either client, or url and connection')
    const location = url === undefined ? undefined : parseUrl(url)
    this.#client =
      client === undefined
        ? withOptions({ ...connection, ...location?.connection }, location?.servers)
        : existing(client)
    this.#prefix = options.prefix ?? location?.prefix ?? DEFAULT_PREFIX
    this.#durability = parseDurability(options.durability ?? location?.durability ?? 'process')
    const replicas = options.replicas ?? location?.replicas
    this.#replicas = replicas === undefined ? undefined : parseReplicas(replicas)
    this.#monitor = options.monitor ?? location?.monitor
    this.#patienceMs = patienceMs
    this.#rowBytes = rowBytes
    this.#clock = clock
  }

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  /** Connects, and looks at the server. */
  async connect(): Promise<Connection> {
    this.#refuseIfClosed()
    this.#connecting ??= this.#connect()
    // A server that was refused may be another at the next call.
    this.#connecting.catch(() => (this.#connecting = undefined))
    const connection = await this.#connecting
    this.#refuseIfClosed()
    return connection
  }

  async open(options: OpenOptions): Promise<Space> {
    const connection = await this.connect()
    const jetstream = new JetStream(connection)
    const names = new Names(this.#prefix, options.namespace)
    const replicas = this.#replicasOn(connection)
    const retention = { maxAgeMs: EVENTS_KEPT_MS, maxBytes: EVENTS_KEPT_BYTES, ...options.retention }
    const { partitions, streams } = await openNamespace(jetstream, names, options, replicas, retention)
    await this.#look(connection, streams)
    const space = await openSpace({
      namespace: options.namespace,
      partitions,
      capabilities: this.#capabilities,
      jetstream,
      clock: this.#clock,
      names,
      retention,
      patienceMs: this.#patienceMs,
      rowBytes: this.#rowBytes,
      neighbourhood: this.#neighbourhood,
      onClose: (closed) => this.#spaces.delete(closed),
    })
    this.#spaces.add(space)
    if (this.#closed) await space.close()
    this.#refuseIfClosed()
    return space
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([...this.#spaces].map((space) => space.close()))
    const connection = await this.#connecting?.catch(() => undefined)
    await connection?.close()
  }

  async #connect(): Promise<Connection> {
    const patienceMs = this.#patienceMs
    const connection = await Connection.open({
      ...this.#client,
      clock: this.#clock,
      patienceMs,
      silenceMs: Math.min(MOST_SILENCE_MS, patienceMs / 2),
    })
    let syncs: boolean
    try {
      checkServer(connection)
      syncs = await syncsAlways(this.#monitor)
    } catch (error) {
      await connection.close()
      throw error
    }
    const replicas = this.#replicasOn(connection)
    this.#capabilities = {
      ...this.#capabilities,
      // Of what would be created; streams that are there say it themselves.
      durability: durabilityOf([{ num_replicas: replicas }], syncs),
      maxMessageBytes: maxMessageBytes(connection.info.max_payload),
      server: describeServer(connection, replicas),
    }
    return connection
  }

  #replicasOn({ info }: Connection): number {
    return this.#replicas ?? (info.cluster === undefined ? 1 : 3)
  }

  /** At what the streams that are there promise. */
  async #look(connection: Connection, streams: readonly StreamConfig[]): Promise<void> {
    const syncs = await syncsAlways(this.#monitor)
    checkDurability(streams, syncs, this.#durability)
    const copies = Math.min(...streams.map(({ num_replicas = 1 }) => num_replicas))
    this.#capabilities = {
      ...this.#capabilities,
      durability: durabilityOf(streams, syncs),
      server: describeServer(connection, copies),
    }
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new TaskError('TASKS_CLOSED', 'NATS: the transport is closed')
  }
}
