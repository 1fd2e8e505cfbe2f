// What other processes say to this one and is not kept: replies and broadcasts. A connection listens to one partition of the replies, whose number is in its addresses.
import type { Bytes } from '@tasks/core'
import type { KafkaDriver, Place } from './driver'
import { decodeFrames } from './frame'
import type { Topics } from './topics'

export interface MailboxOptions {
  readonly driver: KafkaDriver
  readonly topics: Topics
  readonly partitions: number
  /** Names this space among all that use the cluster. */
  readonly name: string
  /** Chooses the partition. */
  readonly random: () => number
}

type Handler = (body: Bytes) => void

export class Mailbox {
  readonly #options: MailboxOptions
  readonly #partition: number
  readonly #addresses = new Map<string, Handler>()
  readonly #handlers = new Set<Handler>()
  readonly #stops: (() => void)[] = []
  #replies: Promise<void> | undefined
  #signals: Promise<void> | undefined
  #last = 0
  #closed = false

  constructor(options: MailboxOptions) {
    this.#options = options
    this.#partition = Math.floor(options.random() * options.partitions)
  }

  /** Listens when it resolves. */
  async open(onReply: Handler): Promise<{ readonly address: string; close(): void }> {
    const { topics, name } = this.#options
    this.#replies ??= this.#listen({ topic: topics.name('replies'), partition: this.#partition }, (value) => {
      for (const { queue: address, body } of decodeFrames(value)) {
        const handler = this.#addresses.get(address)
        if (handler !== undefined) this.#call(handler, body, () => this.#addresses.get(address) === handler)
      }
    })
    this.#replies.catch(() => (this.#replies = undefined))
    await this.#replies
    const address = `${this.#partition}.${name}.${++this.#last}`
    this.#addresses.set(address, onReply)
    return { address, close: () => void this.#addresses.delete(address) }
  }

  onSignal(handler: Handler): () => void {
    // One function may be given twice.
    const own: Handler = (body) => handler(body)
    this.#handlers.add(own)
    this.#signals ??= this.#listen({ topic: this.#options.topics.name('signals'), partition: 0 }, (value) => {
      for (const known of this.#handlers) this.#call(known, value, () => this.#handlers.has(known))
    })
    this.#signals.catch(() => (this.#signals = undefined))
    return () => void this.#handlers.delete(own)
  }

  close(): void {
    this.#closed = true
    this.#addresses.clear()
    this.#handlers.clear()
    for (const stop of this.#stops) stop()
  }

  async #listen(place: Place, onValue: (value: Buffer) => void): Promise<void> {
    const { driver } = this.#options
    const { end } = await driver.range(place)
    if (this.#closed) return
    const stop = driver.follow(place, end, ({ records }) => {
      for (const { value } of records) {
        try {
          if (value !== null) onValue(value)
        } catch {
          // Nobody's of ours: what is said here may be lost.
        }
      }
    })
    this.#stops.push(stop)
  }

  /** In a microtask of its own: a handler that throws is the caller's bug, and not to be ours. Each has bytes of its own. */
  #call(handler: Handler, body: Bytes, isWanted: () => boolean): void {
    queueMicrotask(() => {
      if (isWanted()) handler(Buffer.from(body))
    })
  }
}

/** The partition that an address is reached by, if it is one. */
export function placeOfAddress(address: string, partitions: number): number | undefined {
  const partition = Number(address.slice(0, Math.max(0, address.indexOf('.'))))
  return address.includes('.') && Number.isInteger(partition) && partition >= 0 && partition < partitions
    ? partition
    : undefined
}
