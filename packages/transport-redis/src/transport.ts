import type { Capabilities, OpenOptions, Space, Transport } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { systemClock, TaskError } from '@tasks/core/adapter'
import type { Redis, RedisOptions } from 'ioredis'
import type { NewClient } from './client'
import { likeClient, takesCalls, withOptions } from './client'
import { Connection } from './connection'
import { Keys } from './keys'
import { MAX_COMMIT_BYTES, MAX_COMMIT_ITEMS, MAX_MESSAGE_BYTES, PRIORITIES } from './limits'
import { Messages } from './messages'
import { openNamespace } from './namespace'
import type { Durability, ServerFacts } from './server'
import { inspectServer } from './server'
import { ServerClock } from './server-clock'
import { openSpace } from './space'
import { parseDurability, parseUrl } from './url'

export interface RedisTransportOptions {
  /** `redis://user:password@host:6379/0`, `rediss://…` with TLS; may end in `?prefix=…&durability=…`. */
  readonly url?: string
  /** Settings of ioredis: TLS, ACL user, Sentinel. They are passed on, apart from those that decide what is sent again. */
  readonly connection?: RedisOptions
  /** A client of ioredis, in place of `connection`: its settings are used, for connections of the transport's own. */
  readonly client?: Redis
  /** What the keys of this application begin with. Default `tasks`. */
  readonly prefix?: string
  /**
   * The least that the server must promise: `process` (the default) asks for an append-only file, `fsync` for `appendfsync always`,
   * `none` takes a server that keeps everything in memory only.
   */
  readonly durability?: 'none' | 'process' | 'fsync'
  /** How long a call is tried while the server cannot be reached, in ms. Default 10,000. */
  readonly patienceMs?: number
  /** For tests. */
  readonly clock?: Clock
}

const PATIENCE_MS = 10_000
const MOST_SILENCE_MS = 5_000
const DEFAULT_PREFIX = 'tasks'

/** What is true of every server that is taken. The rest is known once it has been looked at. */
const CAPABILITIES: Capabilities = {
  durability: 'none',
  maxMessageBytes: MAX_MESSAGE_BYTES,
  maxCommitBytes: MAX_COMMIT_BYTES,
  maxCommitItems: MAX_COMMIT_ITEMS,
  priorities: PRIORITIES,
  shared: true,
  checksAbsent: true,
  server: 'Redis, not connected yet',
}

/** Tasks on a Redis or Valkey server. Its `capabilities` are the server's from the first `open` on. */
export function redisTransport(options: RedisTransportOptions): Transport {
  return new RedisTransport(options)
}

/** What `connect('redis://…')` of core calls: looks at the server at once, and refuses it if it must. */
export async function fromUrl(url: string, options: Omit<RedisTransportOptions, 'url'> = {}): Promise<Transport> {
  const transport = new RedisTransport({ ...options, url })
  try {
    await transport.connect()
  } catch (error) {
    await transport.close()
    throw error
  }
  return transport
}

interface Link {
  readonly connection: Connection
  readonly messages: Messages
  /** The connection on which messages arrive, if it takes calls: see `SpaceParts.direct`. */
  readonly direct: () => Connection
  readonly serverClock: ServerClock
  readonly close: () => void
}

class RedisTransport implements Transport {
  readonly name = 'redis'
  readonly #newClient: NewClient
  readonly #prefix: string
  readonly #durability: Durability
  readonly #patienceMs: number
  readonly #clock: Clock
  readonly #spaces = new Set<Space>()
  /** Names this connection among all that use the server. */
  readonly #connectionName: string
  #names = 0
  #link: Link | undefined
  #looking: Promise<void> | undefined
  #capabilities = CAPABILITIES
  #closed = false

  constructor(options: RedisTransportOptions) {
    const { url, connection, client, patienceMs = PATIENCE_MS, clock = systemClock } = options
    if (client !== undefined && (url !== undefined || connection !== undefined))
      throw new TaskError('TASKS_OPTIONS', 'redisTransport takes either client, or url and connection')
    const location = url === undefined ? undefined : parseUrl(url)
    this.#newClient =
      client === undefined ? withOptions(connection ?? {}, location?.url, clock) : likeClient(client, clock)
    this.#prefix = options.prefix ?? location?.prefix ?? DEFAULT_PREFIX
    this.#durability = parseDurability(options.durability ?? location?.durability ?? 'process')
    this.#patienceMs = patienceMs
    this.#clock = clock
    this.#connectionName = clock.uid().slice(0, 12)
  }

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  /** Connects, and looks at the server. */
  async connect(): Promise<Link> {
    this.#refuseIfClosed()
    const link = (this.#link ??= this.#newLink())
    this.#looking ??= this.#look(link)
    // A server that was refused may be another at the next call.
    this.#looking.catch(() => (this.#looking = undefined))
    await this.#looking
    this.#refuseIfClosed()
    return link
  }

  async open(options: OpenOptions): Promise<Space> {
    const link = await this.connect()
    const keys = new Keys(this.#prefix, options.namespace)
    const partitions = await openNamespace(link.connection, keys, options)
    const space = await openSpace({
      ...link,
      namespace: options.namespace,
      partitions,
      capabilities: this.#capabilities,
      retention: options.retention ?? {},
      clock: this.#clock,
      keys,
      // A connection may open a namespace several times.
      name: this.#newName(),
      newName: () => this.#newName(),
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
    this.#link?.close()
  }

  #newLink(): Link {
    const patienceMs = this.#patienceMs
    const shared = {
      clock: this.#clock,
      patienceMs,
      silenceMs: Math.min(MOST_SILENCE_MS, patienceMs / 2),
      name: 'Redis',
      // Both lead to the same server.
      onSilence() {
        connection.suspect()
        onMessages.suspect()
      },
    }
    const connection = new Connection({ ...shared, client: this.#newClient(false) })
    const forMessages = this.#newClient(true)
    const onMessages = new Connection({ ...shared, client: forMessages })
    const messages = new Messages({ ...shared, client: forMessages, ping: () => onMessages.ping() })
    return {
      connection,
      messages,
      direct: () => (takesCalls(forMessages) ? onMessages : connection),
      serverClock: new ServerClock(connection, this.#clock),
      close() {
        for (const each of [connection, onMessages, messages]) each.close()
      },
    }
  }

  async #look({ connection, serverClock }: Link): Promise<void> {
    const facts: ServerFacts = await inspectServer(connection, this.#durability)
    await serverClock.look()
    this.#capabilities = { ...CAPABILITIES, durability: facts.durability, server: `${facts.name} ${facts.version}` }
  }

  #newName(): string {
    return `${this.#connectionName}:${(++this.#names).toString(36)}`
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new TaskError('TASKS_CLOSED', 'Redis: the transport is closed')
  }
}
