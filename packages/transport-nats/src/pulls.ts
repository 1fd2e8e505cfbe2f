// Asking consumers for messages. A request is answered with what there is, up to its number, and is over; one that may wait is answered with what comes first.
import type { Msg } from '@nats-io/transport-node'
import type { JetStream } from './jetstream'
import { NANOS } from './jetstream'

/** A consumer of the server that is asked. It is known by the subject of its messages: that is all that they say. */
export interface Source {
  readonly stream: string
  readonly consumer: string
  readonly subject: string
}

interface Request {
  /** What the server says of it comes here. */
  readonly inbox: string
  readonly over: Promise<void>
  left: number
  end(): void
}

export interface PullsOptions<S extends Source> {
  readonly jetstream: JetStream
  readonly sources: readonly S[]
  readonly onMessage: (source: S, message: Msg) => void
  /** Something has come, or a request is over. */
  readonly onChange: () => void
  /** The consumer is not there, or has no leader. */
  readonly onMissing: (source: S) => void
}

export class Pulls<S extends Source> {
  readonly #options: PullsOptions<S>
  readonly #sources: ReadonlyMap<string, S>
  /** One at a time of each source. */
  #requests = new Map<S, Request>()
  #subscription: { readonly inbox: string; drain(): Promise<void> } | undefined
  #numbers = 0

  constructor(options: PullsOptions<S>) {
    this.#options = options
    this.#sources = new Map(options.sources.map((source) => [source.subject, source]))
  }

  isAsking(source: S): boolean {
    return this.#requests.has(source)
  }

  /** Resolves when the request is over; that which is under way, if there is one. `waitMs` 0: with what there is. */
  ask(source: S, batch: number, waitMs: number): Promise<void> {
    const known = this.#requests.get(source)
    if (known !== undefined) return known.over
    this.#subscription ??= this.#subscribe()
    const inbox = `${this.#subscription.inbox}.${(++this.#numbers).toString(36)}`
    let end = (): void => {}
    const over = new Promise<void>((resolve) => {
      end = () => {
        this.#requests.delete(source)
        resolve()
      }
    })
    this.#requests.set(source, { inbox, over, left: batch, end })
    const request = { batch, no_wait: true, ...(waitMs > 0 && { expires: Math.ceil(waitMs) * NANOS }) }
    if (!this.#options.jetstream.pull(source.stream, source.consumer, inbox, request)) end()
    return over
  }

  /** Nothing more is to be sent for what was asked. What is on its way still comes; resolves when all of it has. */
  async stop(): Promise<void> {
    const subscription = this.#subscription
    this.forget()
    await subscription?.drain()
  }

  /** The connection was lost, and the requests with it. */
  forget(): void {
    this.#subscription = undefined
    for (const { end } of this.#requests.values()) end()
    this.#requests.clear()
  }

  #subscribe(): { readonly inbox: string; drain(): Promise<void> } {
    const { connection } = this.#options.jetstream
    const inbox = connection.newInbox()
    const { drain } = connection.subscribe(`${inbox}.*`, (message) => {
      if (message.subject.startsWith(inbox)) this.#hear(message)
      else {
        const source = this.#sources.get(message.subject)
        if (source === undefined) return
        const request = this.#requests.get(source)
        if (request !== undefined && --request.left === 0) request.end()
        this.#options.onMessage(source, message)
      }
      this.#options.onChange()
    })
    return { inbox, drain }
  }

  /** The server says that a request is over. */
  #hear({ subject, headers }: Msg): void {
    for (const [source, { inbox, end }] of this.#requests) {
      if (inbox !== subject) continue
      if (headers?.code === 503) this.#options.onMissing(source)
      return end()
    }
  }
}
