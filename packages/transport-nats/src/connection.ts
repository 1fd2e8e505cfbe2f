// A connection that is never in doubt for long. The client library keeps it open; what becomes of a call when it breaks is decided here.
//
// C1. Nothing is stored twice that may not be: the library repeats nothing, and neither does a call, unless it says so.
// C2. Every call settles: when its answer comes, when the connection is lost, or when it has been under way for too long. What the library still
//     had in its buffer it throws away when it connects again: that is not known to have been stored, like anything else that was not answered.
// C3. What was not sent is known not to have been.
// C4. One subscription hears the answers of all calls; calls of one turn of the event loop leave in one write.
import type { Clock } from '@tasks/core/adapter'
import { sleep, TaskError, waitAtMost } from '@tasks/core/adapter'
import type { Msg, MsgHdrs, NatsConnection, ServerInfo } from '@nats-io/transport-node'
import { AuthorizationError, createInbox, PermissionViolationError } from '@nats-io/transport-node'
import { forbidden, isCertain, isForbidden, isPassing, nobodyListens, refused, Refusal, unavailable } from './failure'

const RETRY_MS = 50
const LAST_RETRY_MS = 500
const LOOK_MS = 250
const GOODBYE_MS = 1_000

export interface ConnectionOptions {
  readonly connect: () => Promise<NatsConnection>
  /** What inboxes of this connection begin with; the library's own if absent. */
  readonly inboxPrefix: string | undefined
  /** Whether closing this closes the client. */
  readonly owned: boolean
  readonly clock: Clock
  /** How long a call is tried. */
  readonly patienceMs: number
  /** How long an answer may take. */
  readonly silenceMs: number
}

interface Pending {
  readonly subject: string
  readonly sentAt: number
  resolve(message: Msg): void
  reject(error: unknown): void
}

export class Connection {
  readonly #client: NatsConnection
  readonly #options: ConnectionOptions
  readonly #inbox: string
  /** In the order in which they were sent. */
  readonly #pending = new Map<string, Pending>()
  readonly #waitingForConnection = new Set<() => void>()
  readonly #gapListeners = new Set<() => void>()
  #info: ServerInfo
  #tokens = 0
  #inboxes = 0
  #connected = true
  #number = 1
  #heardAt = 0
  #cancelLook: (() => void) | undefined
  #lookDue = 0
  #wasBusy = false
  #lastError: unknown
  #closed: TaskError | undefined

  /** Connects, or says within the time that a call is tried why not. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const { connect, clock, patienceMs } = options
    const until = clock.monotonic() + patienceMs
    for (;;) {
      try {
        return new Connection(await connect(), options)
      } catch (error) {
        if (TaskError.is(error)) throw error
        const { message } = error as Error
        if (error instanceof AuthorizationError || clock.monotonic() >= until)
          throw unavailable('cannot connect', message, 'no', error)
        await sleep(clock, RETRY_MS * 2)
      }
    }
  }

  private constructor(client: NatsConnection, options: ConnectionOptions) {
    this.#client = client
    if (client.info === undefined) throw unavailable('cannot connect', 'the client was closed', 'no')
    this.#info = client.info
    this.#options = options
    this.#inbox = createInbox(options.inboxPrefix)
    client.subscribe(`${this.#inbox}.call.*`, {
      callback: (error, message) => {
        if (error !== null) this.#lastError = error
        else this.#answer(message)
      },
    })
    void this.#follow()
  }

  /** Of the server that it leads to, or led to before. */
  get info(): ServerInfo {
    // While it connects again the client knows of none.
    this.#info = this.#client.info ?? this.#info
    return this.#info
  }

  /** Of the connection to a server that there is, or was last: with another one the server may be one that has lost what it had not synced. */
  get number(): number {
    return this.#number
  }

  get isConnected(): boolean {
    return this.#connected && this.#closed === undefined
  }

  /** A subject that nobody else uses; `<it>.<token>` are, too. */
  newInbox(): string {
    return `${this.#inbox}.${(++this.#inboxes).toString(36)}`
  }

  /** Calls back when messages of subscriptions may have been missed: it has connected again. */
  onGap(listener: () => void): () => void {
    this.#gapListeners.add(listener)
    return () => this.#gapListeners.delete(listener)
  }

  subscribe(subject: string, onMessage: (message: Msg) => void): { drain(): Promise<void>; stop(): void } {
    const subscription = this.#client.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) this.#lastError = error
        else onMessage(message)
      },
    })
    return {
      // What the server has sent until it hears of this is still heard.
      drain: () => subscription.drain().catch(() => {}),
      stop: () => subscription.unsubscribe(),
    }
  }

  /** Sends a message that nobody answers. False if it certainly was not sent. */
  say(subject: string, payload?: Uint8Array, reply?: string): boolean {
    if (!this.isConnected) return false
    this.#client.publish(subject, payload, reply === undefined ? {} : { reply })
    return true
  }

  /** Resolves when the server has processed all that was said. */
  async flush(): Promise<void> {
    await this.#client.flush().catch((error: unknown) => {
      throw unavailable('flush', 'the connection was lost', 'unknown', error)
    })
  }

  /**
   * One call, made once. Waits for a connection first, if there is none.
   * @throws Refusal nobody listens
   * @throws TaskError TASKS_UNAVAILABLE, which says whether it may have had an effect; TASKS_CLOSED
   */
  async call(subject: string, payload: Uint8Array, headers?: MsgHdrs): Promise<Msg> {
    if (!this.isConnected) await this.#ready(subject)
    return this.#send(subject, payload, headers)
  }

  get clock(): Clock {
    return this.#options.clock
  }

  /** Tries until it works, the time is over, or the server refuses: of what may be done twice, or what certainly was not done. */
  async insist<T>(what: string, repeatable: boolean, attempt: () => Promise<T>): Promise<T> {
    const { clock, patienceMs } = this.#options
    const until = clock.monotonic() + patienceMs
    for (let delay = RETRY_MS; ; delay = Math.min(delay * 2, LAST_RETRY_MS)) {
      try {
        return await attempt()
      } catch (error) {
        this.#refuseIfClosed()
        const again =
          error instanceof Refusal ? isPassing(error) : !isForbidden(error) && (repeatable || isCertain(error))
        if (!again || clock.monotonic() >= until) throw error instanceof Refusal ? refused(error, what) : error
        await sleep(clock, delay)
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closed !== undefined) return
    const goodbye = this.#connected ? this.#client.flush().catch(() => {}) : Promise.resolve()
    this.#closed = new TaskError('TASKS_CLOSED', 'NATS: the transport is closed')
    for (const { reject } of this.#pending.values()) reject(this.#closed)
    this.#pending.clear()
    this.#cancelLook?.()
    this.#wakeAll()
    await this.#withinGoodbye(goodbye)
    if (this.#options.owned) await this.#withinGoodbye(this.#client.close())
  }

  // ---- Calls

  #send(subject: string, payload: Uint8Array, headers: MsgHdrs | undefined): Promise<Msg> {
    return new Promise((resolve, reject) => {
      const token = (++this.#tokens).toString(36)
      const sentAt = this.#options.clock.monotonic()
      if (this.#pending.size === 0) this.#heardAt = sentAt
      this.#pending.set(token, { subject, sentAt, resolve, reject })
      const reply = `${this.#inbox}.call.${token}`
      try {
        this.#client.publish(subject, payload, headers === undefined ? { reply } : { reply, headers })
      } catch (error) {
        this.#pending.delete(token)
        reject(unavailable(subject, (error as Error).message, 'no', error))
        return
      }
      if (this.#cancelLook === undefined) this.#lookLater()
    })
  }

  #answer(message: Msg): void {
    const { subject } = message
    const token = subject.slice(subject.lastIndexOf('.') + 1)
    const pending = this.#pending.get(token)
    this.#heardAt = this.#options.clock.monotonic()
    if (pending === undefined) return
    this.#pending.delete(token)
    if (message.data.length === 0 && message.headers?.code === 503) pending.reject(nobodyListens())
    else pending.resolve(message)
  }

  #lookLater(): void {
    const { clock } = this.#options
    this.#lookDue = clock.monotonic() + LOOK_MS
    this.#cancelLook = clock.after(LOOK_MS, () => this.#look(), { unref: true })
  }

  /** One timer for all calls: the oldest come first. */
  #look(): void {
    const { clock, silenceMs } = this.#options
    const now = clock.monotonic()
    this.#cancelLook = undefined
    // It was this process that did not listen: a task has kept the event loop to itself. What has come meanwhile is heard first.
    this.#wasBusy = !this.#wasBusy && now > this.#lookDue + LOOK_MS
    if (this.#wasBusy) return this.#lookLater()
    for (const [token, { subject, sentAt, reject }] of this.#pending) {
      if (now - sentAt < silenceMs) break
      this.#pending.delete(token)
      reject(unavailable(subject, `no answer for ${silenceMs} ms`, 'unknown'))
      // Not one call among others that are answered, but a server that says nothing: this socket may be dead without knowing it.
      if (this.#connected && now - this.#heardAt >= silenceMs) this.#reconnect()
    }
    if (this.#pending.size > 0) this.#lookLater()
  }

  #reconnect(): void {
    this.#lost('the server says nothing')
    // The library closes it behind all that it has written, which one whose other end is gone never takes.
    const socket = socketOf(this.#client)
    this.#options.clock.after(GOODBYE_MS, () => socket?.destroy(), { unref: true })
    this.#client.reconnect().catch(() => {})
  }

  // ---- The connection

  async #follow(): Promise<void> {
    for await (const status of this.#client.status()) {
      if (status.type === 'disconnect') this.#lost('the connection was lost before the answer came')
      else if (status.type === 'error') this.#fail(status.error)
      else if (status.type === 'reconnect') {
        this.#connected = true
        this.#number++
        this.#wakeAll()
        for (const listener of this.#gapListeners) listener()
      } else if (status.type === 'close') break
    }
    this.#lost('the client was closed')
    this.#closed ??= new TaskError('TASKS_CLOSED', 'NATS: the client was closed', { cause: this.#lastError })
    this.#wakeAll()
  }

  #lost(why: string): void {
    this.#connected = false
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { subject, reject } of pending) reject(unavailable(subject, why, 'unknown', this.#lastError))
  }

  #fail(error: Error): void {
    this.#lastError = error
    if (!(error instanceof PermissionViolationError)) return
    for (const [token, { subject, reject }] of this.#pending) {
      if (subject !== error.subject) continue
      this.#pending.delete(token)
      reject(forbidden(error))
    }
  }

  async #ready(what: string): Promise<void> {
    const { clock, patienceMs } = this.#options
    const until = clock.monotonic() + patienceMs
    while (!this.isConnected) {
      this.#refuseIfClosed()
      const left = until - clock.monotonic()
      if (left <= 0) throw unavailable(what, 'it was not sent: there is no connection', 'no', this.#lastError)
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          cancel()
          this.#waitingForConnection.delete(wake)
          resolve()
        }
        const cancel = clock.after(left, wake)
        this.#waitingForConnection.add(wake)
      })
    }
  }

  #wakeAll(): void {
    for (const wake of this.#waitingForConnection) wake()
  }

  #refuseIfClosed(): void {
    if (this.#closed !== undefined) throw this.#closed
  }

  async #withinGoodbye(ending: Promise<unknown>): Promise<void> {
    await waitAtMost(this.#options.clock, GOODBYE_MS, ending)
  }
}

/** Of the connection that there is now; the library shows it to nobody. */
function socketOf(client: NatsConnection): { destroy(): unknown } | undefined {
  const { protocol } = client as {
    readonly protocol?: { readonly transport?: { readonly socket?: { destroy(): unknown } } }
  }
  return protocol?.transport?.socket
}
