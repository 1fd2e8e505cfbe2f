// The names of the keys of one namespace. All of them have one hash tag, so that a script may use any of them together. HOW_IT_WORKS.md draws them.

/** What must not be read as syntax of a name, or of a hash tag. */
const TO_ESCAPE = /[%:{}]/g

function escape(name: string): string {
  return name.replace(TO_ESCAPE, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

export interface PartitionKeys {
  /** Hash: the fence, the inbox position, the owner and its lease, who waits for the inbox. */
  readonly state: string
  /** List: inbox messages from the position on. */
  readonly inbox: string
  /** Hash: the rows. */
  readonly rows: string
  /** Sorted set, by bytes: the keys of the rows. */
  readonly index: string
  /** Stream: the event log. */
  readonly events: string
}

export interface QueueKeys {
  readonly name: string
  /**
   * In the order in which scripts expect them: `ready` (list), `high` (sorted set: messages of raised priority), `batches` (hash: what is held
   * or waits for a time), `leases` and `later` (sorted sets: when batches run out or are due), `waiters` (sorted set).
   */
  readonly all: readonly string[]
}

export class Keys {
  readonly #base: string
  readonly #partitions: PartitionKeys[] = []
  readonly #queues = new Map<string, QueueKeys>()
  /** Hash: format and number of partitions. */
  readonly meta: string
  /** Sorted set: the hosts that take part in owning partitions, and until when they are known to be alive. */
  readonly hosts: string
  /** Hash: receives that wait, and what they wait for. */
  readonly waiting: string
  /** Counter: the order of messages of raised priority. */
  readonly order: string
  /** Stream: dead letters. */
  readonly dead: string
  /** Sorted set, by bytes: the keys of the blobs. */
  readonly blobs: string
  /** Channel: broadcasts. */
  readonly signals: string
  /** Channel: the number of a partition that has events to read. */
  readonly events: string
  /** Channel: a partition has become free, or a host came or went. */
  readonly owners: string

  constructor(prefix: string, namespace: string) {
    const base = `{${escape(prefix)}:${escape(namespace)}}`
    this.#base = base
    this.meta = `${base}:meta`
    this.hosts = `${base}:hosts`
    this.waiting = `${base}:waiting`
    this.order = `${base}:order`
    this.dead = `${base}:dead`
    this.blobs = `${base}:blobs`
    this.signals = `${base}:signals`
    this.events = `${base}:events`
    this.owners = `${base}:owners`
  }

  partition(number: number): PartitionKeys {
    const state = `${this.#base}:p${number}`
    return (this.#partitions[number] ??= {
      state,
      inbox: `${state}:inbox`,
      rows: `${state}:rows`,
      index: `${state}:index`,
      events: `${state}:events`,
    })
  }

  queue(name: string): QueueKeys {
    const known = this.#queues.get(name)
    if (known !== undefined) return known
    const ready = `${this.#base}:q:${escape(name)}`
    const parts = ['high', 'batches', 'leases', 'later', 'waiters']
    const keys: QueueKeys = { name, all: [ready, ...parts.map((part) => `${ready}:${part}`)] }
    this.#queues.set(name, keys)
    return keys
  }

  /** Hash: the pages of a blob. */
  blob(key: string): string {
    return `${this.#base}:b:${key}`
  }

  /** Hash: how far a named subscription to events has come, by partition. */
  subscription(name: string): string {
    return `${this.#base}:s:${escape(name)}`
  }

  /** Channel: what is meant for one connection. */
  mailbox(connection: string): string {
    return `${this.#base}:c:${connection}`
  }
}
