// Replies and signals: messages that nobody keeps.
import type { Bytes, ReplyAddress } from '@tasks/core'
import type { Connection } from './connection'
import type { Names } from './names'

export class Broadcasts {
  readonly #connection: Connection
  readonly #names: Names
  /** Begins the addresses of this space. */
  readonly #name: string
  readonly #addresses = new Map<string, (body: Bytes) => void>()
  readonly #signalHandlers = new Set<{ readonly hear: (body: Bytes) => void }>()
  readonly #stops: (() => void)[] = []
  #numbers = 0
  #hearsReplies = false
  #hearsSignals = false

  constructor(connection: Connection, names: Names, name: string) {
    this.#connection = connection
    this.#names = names
    this.#name = name
  }

  /** Resolves when replies are sure to come. */
  async openReplies(onReply: (body: Bytes) => void): Promise<ReplyAddress> {
    const number = (++this.#numbers).toString(36)
    this.#addresses.set(number, onReply)
    if (!this.#hearsReplies) {
      this.#hearsReplies = true
      this.#subscribe(this.#names.reply(`${this.#name}.*`), (subject, body) => {
        const to = subject.slice(subject.lastIndexOf('.') + 1)
        const heard = this.#addresses.get(to)
        // Handlers run in a microtask of their own: one that throws is the caller's bug, and not to be ours.
        if (heard) queueMicrotask(() => this.#addresses.get(to) === heard && heard(body))
      })
      if (this.#connection.isConnected) await this.#connection.flush()
    }
    return { address: `${this.#name}.${number}`, close: async () => void this.#addresses.delete(number) }
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
    this.#addresses.clear()
    this.#signalHandlers.clear()
    for (const stop of this.#stops) stop()
  }

  #subscribe(subject: string, hear: (subject: string, body: Bytes) => void): void {
    const { stop } = this.#connection.subscribe(subject, (message) => hear(message.subject, message.data))
    this.#stops.push(stop)
  }
}
