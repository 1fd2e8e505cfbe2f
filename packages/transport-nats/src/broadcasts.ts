// Replies and signals: messages that nobody keeps.
import type { Bytes, ReplyAddress } from '@tasks/core'
import { waitAtMost } from '@tasks/core/adapter'
import type { Connection } from './connection'
import type { Names } from './names'

const FLUSH_MS = 2_000

/** The spaces of one connection, by where their replies go: what one of them says to another needs no server. */
export type Neighbourhood = Map<string, Broadcasts>

export class Broadcasts {
  readonly #connection: Connection
  readonly #names: Names
  /** Begins the addresses of this space. */
  readonly #name: string
  readonly #addresses = new Map<string, (body: Bytes) => void>()
  readonly #signalHandlers = new Set<{ readonly hear: (body: Bytes) => void }>()
  readonly #stops: (() => void)[] = []
  readonly #others: Neighbourhood
  #numbers = 0
  #hearsReplies = false
  #hearsSignals = false

  constructor(connection: Connection, names: Names, name: string, others: Neighbourhood) {
    this.#connection = connection
    this.#names = names
    this.#name = name
    this.#others = others
    others.set(names.reply(name), this)
  }

  /** Resolves when replies are sure to come. */
  async openReplies(onReply: (body: Bytes) => void): Promise<ReplyAddress> {
    const number = (++this.#numbers).toString(36)
    this.#addresses.set(number, onReply)
    if (!this.#hearsReplies) {
      this.#hearsReplies = true
      this.#subscribe(this.#names.reply(`${this.#name}.*`), (subject, body) =>
        this.#hear(subject.slice(subject.lastIndexOf('.') + 1), body),
      )
      // A connection that is lost meanwhile subscribes again by itself.
      if (this.#connection.isConnected) await waitAtMost(this.#connection.clock, FLUSH_MS, this.#connection.flush())
    }
    return { address: `${this.#name}.${number}`, close: async () => void this.#addresses.delete(number) }
  }

  /** Best effort. */
  reply(address: string, body: Bytes): void {
    const [name = '', number = ''] = address.split('.')
    const here = this.#others.get(this.#names.reply(name))
    if (here === undefined) this.#connection.say(this.#names.reply(address), body)
    else here.#hear(number, body)
  }

  onSignal(hear: (body: Bytes) => void): () => void {
    const handler = { hear }
    this.#signalHandlers.add(handler)
    if (!this.#hearsSignals) {
      this.#hearsSignals = true
      this.#subscribe(this.#names.signal, (_, body) => {
        for (const each of this.#signalHandlers) queueMicrotask(() => this.#signalHandlers.has(each) && each.hear(body))
      })
    }
    return () => void this.#signalHandlers.delete(handler)
  }

  close(): void {
    this.#others.delete(this.#names.reply(this.#name))
    this.#addresses.clear()
    this.#signalHandlers.clear()
    for (const stop of this.#stops) stop()
  }

  #hear(number: string, body: Bytes): void {
    const heard = this.#addresses.get(number)
    // Handlers run in a microtask of their own: one that throws is the caller's bug, and not to be ours.
    if (heard) queueMicrotask(() => this.#addresses.get(number) === heard && heard(body))
  }

  #subscribe(subject: string, hear: (subject: string, body: Bytes) => void): void {
    const { stop } = this.#connection.subscribe(subject, (message) => hear(message.subject, message.data))
    this.#stops.push(stop)
  }
}
