// One namespace, as one connection sees it: what was opened through it ends with it.
import { leasedPartitions } from '../adapter/leased-partitions'
import type { Clock } from '../clock'
import { TaskError } from '../errors'
import type {
  Blobs,
  Bytes,
  Capabilities,
  ConsumeOptions,
  DeadLetters,
  OwnOptions,
  PartitionHost,
  ReplyAddress,
  RowReader,
  Send,
  SendOutcome,
  Space,
  TaskConsumer,
} from '../transport'
import { MemoryConsumer } from './consumer'
import { MemoryEvents } from './events'
import type { MemoryFaults } from './faults'
import { MemoryHost } from './host'
import type { Ending } from './lifetime'
import { Lifetime } from './lifetime'
import { sendAccepted } from '../adapter/accepted-sends'
import { checkCommit, checkSends, checkSignal } from '../adapter/limits'
import type { Namespace } from './namespace'

export class MemorySpace implements Space {
  readonly namespace: string
  readonly partitions: number
  readonly capabilities: Capabilities
  readonly events: MemoryEvents
  readonly #store: Namespace
  readonly #faults: MemoryFaults
  readonly #lifetime: Lifetime
  readonly #clock: Clock

  constructor(store: Namespace, capabilities: Capabilities, faults: MemoryFaults, clock: Clock) {
    this.namespace = store.name
    this.partitions = store.partitions.length
    this.capabilities = capabilities
    this.#store = store
    this.#faults = faults
    this.#clock = clock
    this.#lifetime = new Lifetime(`namespace "${store.name}"`)
    this.events = new MemoryEvents(store, this.#lifetime)
  }

  async send(batch: readonly Send[]): Promise<readonly SendOutcome[]> {
    this.#lifetime.check()
    return sendAccepted(batch, this.capabilities, this.partitions, (accepted) =>
      this.#store.send(accepted, this.#faults),
    )
  }

  consume(options: ConsumeOptions): TaskConsumer {
    this.#lifetime.check()
    const check = (sends: readonly Send[]): void => checkSends(sends, this.capabilities, this.partitions)
    const { queues, leaseMs } = options
    return new MemoryConsumer({
      namespace: this.#store,
      lifetime: this.#lifetime,
      faults: this.#faults,
      queues,
      leaseMs,
      check,
    })
  }

  own({ leaseMs }: OwnOptions): PartitionHost {
    this.#lifetime.check()
    const host = new MemoryHost({
      namespace: this.#store,
      lifetime: this.#lifetime,
      faults: this.#faults,
      leaseMs,
      check: (commit) => checkCommit(commit, this.capabilities, this.partitions),
    })
    return leasedPartitions(host, { leaseMs, clock: this.#clock })
  }

  async replies(onReply: (body: Bytes) => void): Promise<ReplyAddress> {
    this.#lifetime.check()
    const address = this.#store.clock.uid()
    this.#store.replies.set(address, onReply)
    const close = (): void => void this.#store.replies.delete(address)
    const forget = this.#lifetime.onEnd(close)
    return {
      address,
      close: async () => {
        forget()
        close()
      },
    }
  }

  async signal(body: Bytes): Promise<void> {
    this.#lifetime.check()
    checkSignal(body, this.capabilities)
    this.#store.broadcast(body, this.#faults)
  }

  onSignal(handler: (body: Bytes) => void): () => void {
    this.#lifetime.check()
    // The same function may subscribe twice.
    const listener = (body: Bytes): void => handler(body)
    this.#store.signals.add(listener)
    const forget = this.#lifetime.onEnd(() => this.#store.signals.delete(listener))
    return () => {
      forget()
      this.#store.signals.delete(listener)
    }
  }

  async backlog(queue: string): Promise<number | undefined> {
    this.#lifetime.check()
    const storedAt = this.#store.queue(queue).oldestStoredAt()
    return storedAt === undefined ? undefined : this.#store.clock.monotonic() - storedAt
  }

  async now(): Promise<number> {
    this.#lifetime.check()
    return this.#store.clock.now()
  }

  readonly reader: RowReader = {
    load: async (partition, keys) => {
      this.#lifetime.check()
      return this.#store.partitions[partition]?.rows.load(keys) ?? keys.map(() => undefined)
    },
    scan: async (partition, prefix, after, limit) => {
      this.#lifetime.check()
      return this.#store.partitions[partition]?.rows.scan(prefix, after, limit) ?? []
    },
  }

  readonly dead: DeadLetters = {
    list: async ({ after, limit }) => {
      this.#lifetime.check()
      return this.#store.letters.list(after, limit)
    },
    get: async (id) => {
      this.#lifetime.check()
      return this.#store.letters.get(id)
    },
    redrive: async (id, send) => {
      this.#lifetime.check()
      checkSends([send], this.capabilities, this.partitions)
      if (this.#store.letters.get(id) === undefined) return false
      const [outcome] = this.#store.send([send], this.#faults)
      if (outcome?.ok === false) throw outcome.error
      return this.#store.letters.drop(id)
    },
    drop: async (id) => {
      this.#lifetime.check()
      return this.#store.letters.drop(id)
    },
  }

  readonly blobs: Blobs = {
    put: async (key, page, bytes) => {
      this.#lifetime.check()
      if (bytes.byteLength > this.capabilities.maxMessageBytes) {
        throw new TaskError(
          'TASKS_TOO_LARGE',
          `page ${page} of blob "${key}": ${bytes.byteLength} bytes, more than ${this.capabilities.maxMessageBytes}`,
        )
      }
      this.#blobFault('put', key, page)
      this.#store.blobs.put(key, page, bytes)
    },
    get: async (key, page) => {
      this.#lifetime.check()
      this.#blobFault('get', key, page)
      return this.#store.blobs.get(key, page)
    },
    drop: async (prefix) => {
      this.#lifetime.check()
      this.#store.blobs.drop(prefix)
    },
    list: async ({ after, limit }) => {
      this.#lifetime.check()
      return this.#store.blobs.list(after, limit)
    },
  }

  #blobFault(op: 'put' | 'get', key: string, page: number): void {
    if (this.#faults.blob?.({ op, key, page }) === 'lost')
      throw new TaskError('TASKS_UNAVAILABLE', `${op} of blob "${key}": a fault that was asked for`)
  }

  async close(): Promise<void> {
    this.end('closed')
  }

  end(how: Ending): void {
    this.#lifetime.end(how)
  }
}
