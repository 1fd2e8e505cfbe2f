// Asking consumers for messages. A request is answered with what there is, up to its number, and is over; one that may wait is answered with what comes first.
// A request is never taken back: what the server is just sending for it would be lost until a lease has run out. It is short instead.
import type { Clock } from '@tasks/core/adapter'
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
  /** When the server should have said that it is over. */
  readonly until: number
  left: number
  end(): void
}

/** Of a request that waits: whoever has asked may have his hands full when something comes. */
const LONGEST_MS = 1_000
const GRACE_MS = 2_000
const PENDING = 'Requests Pending'
const PENDING_MS = 20
/** In the place of a request's number. */
const NUDGE = 'nudge'

export interface PullsOptions<S extends Source> {
  readonly jetstream: JetStream
  readonly clock: Clock
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
    const request = this.#requests.get(source)
    if (request === undefined) return false
    if (request.until >= this.#options.clock.monotonic()) return true
    request.end()
    return false
  }

  /** Resolves when the request is over; that which is under way, if there is one. `waitMs` 0: with what there is; else it may be over earlier. */
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
    const expiresMs = Math.ceil(Math.min(waitMs, LONGEST_MS))
    const until = this.#options.clock.monotonic() + expiresMs + GRACE_MS
    this.#requests.set(source, { inbox, over, until, left: batch, end })
    const request = { batch, no_wait: true, ...(expiresMs > 0 && { expires: expiresMs * NANOS }) }
    if (!this.#options.jetstream.pull(source.stream, source.consumer, inbox, request)) end()
    return over
  }

  /**
   * Has the server look whether there is something: by a request for one message, beside the one that waits. It is no short one: nats-server before 2.10.16 that finds a message for a request
   * which is just over hands another out twice.
   */
  nudge({ stream, consumer }: S): void {
    if (this.#subscription === undefined) return
    const reply = `${this.#subscription.inbox}.${NUDGE}`
    this.#options.jetstream.pull(stream, consumer, reply, { batch: 1, expires: LONGEST_MS * NANOS })
  }

  /** Nobody is there any more. What the server has sent before it hears of this still comes; resolves when all of it has. */
  async stop(): Promise<void> {
    const subscription = this.#subscription
    this.#subscription = undefined
    this.forget()
    await subscription?.drain()
  }

  /** The connection was lost, and the requests with it; of a cluster they may be answered yet, and that is heard. */
  forget(): void {
    for (const { end } of this.#requests.values()) end()
    this.#requests.clear()
  }

  #subscribe(): { readonly inbox: string; drain(): Promise<void> } {
    const { connection } = this.#options.jetstream
    const inbox = connection.newInbox()
    const { drain } = connection.subscribe(`${inbox}.*`, (message) => {
      // That a nudge is over is no news.
      if (message.subject === `${inbox}.${NUDGE}`) return
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

  #endLater(source: S, request: Request): void {
    const { clock, onChange } = this.#options
    clock.after(
      PENDING_MS,
      () => {
        if (this.#requests.get(source) === request) request.end()
        onChange()
      },
      { unref: true },
    )
  }

  /** The server says that a request is over. */
  #hear({ subject, headers }: Msg): void {
    for (const [source, request] of this.#requests) {
      if (request.inbox !== subject) continue
      if (headers?.code === 503) this.#options.onMissing(source)
      // There is less than others have asked for before: it would say so again at once.
      if (headers?.description === PENDING) return this.#endLater(source, request)
      return request.end()
    }
  }
}
