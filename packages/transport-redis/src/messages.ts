// The connection on which other processes reach this one: published messages. They are pushed as they come, so nothing polls and nothing blocks; what is lost
// while the connection is down is asked for when it is back.
import type { Clock } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { Redis } from 'ioredis'
import { unavailable } from './failure'

type Handler = (message: Buffer) => void

/** After a channel could not be subscribed to. */
const RETRY_MS = 1_000

export interface Subscription {
  readonly ready: Promise<void>
  stop(): void
}

export interface MessagesOptions {
  readonly client: Redis
  readonly clock: Clock
  readonly patienceMs: number
  /** Asks the server whether it is there: a socket whose other end is gone says nothing by itself. */
  readonly ping: () => Promise<unknown>
  /** How often it is asked. */
  readonly silenceMs: number
  readonly name: string
}

export class Messages {
  readonly #client: Redis
  readonly #clock: Clock
  readonly #patienceMs: number
  readonly #ping: () => Promise<unknown>
  readonly #silenceMs: number
  readonly #name: string
  readonly #channels = new Map<string, Set<Handler>>()
  readonly #subscribed = new Set<string>()
  readonly #waiting = new Set<() => void>()
  readonly #gapListeners = new Map<string, Set<() => void>>()
  #lastError: unknown
  #closed = false
  #answered = true
  #cancelRetry: () => void = () => {}
  #cancelPing: () => void = () => {}

  constructor({ client, clock, patienceMs, ping, silenceMs, name }: MessagesOptions) {
    this.#client = client
    this.#clock = clock
    this.#patienceMs = patienceMs
    this.#ping = ping
    this.#silenceMs = silenceMs
    this.#name = name
    client.on('error', (error: unknown) => (this.#lastError = error))
    client.on('ready', () => {
      for (const channel of this.#channels.keys()) this.#ask(channel)
    })
    client.on('close', () => this.#subscribed.clear())
    client.on('messageBuffer', (channel: Buffer, message: Buffer) => {
      for (const handler of this.#channels.get(channel.toString()) ?? []) handler(message)
    })
    client.connect().catch(() => {})
    this.#pingRegularly()
  }

  /** From the next connection on at the latest; `ready` says when messages are sure to come, or that this takes too long. */
  subscribe(channel: string, handler: Handler): Subscription {
    const handlers = this.#channels.get(channel) ?? new Set()
    this.#channels.set(channel, handlers.add(handler))
    if (!this.#subscribed.has(channel) && this.#client.status === 'ready') this.#ask(channel)
    const ready = this.#until(channel)
    // Who does not wait for it need not hear of it.
    ready.catch(() => {})
    const stop = (): void => {
      handlers.delete(handler)
      if (handlers.size > 0 || this.#channels.get(channel) !== handlers) return
      this.#channels.delete(channel)
      this.#subscribed.delete(channel)
      this.#client.unsubscribe(channel).catch(() => {})
    }
    return { ready, stop }
  }

  /** Calls back when messages of the channel may have been missed, and come again. */
  onGap(channel: string, listener: () => void): () => void {
    const listeners = this.#gapListeners.get(channel) ?? new Set()
    this.#gapListeners.set(channel, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#gapListeners.get(channel) === listeners) this.#gapListeners.delete(channel)
    }
  }

  close(): void {
    this.#closed = true
    this.#cancelPing()
    this.#cancelRetry()
    for (const wake of this.#waiting) wake()
    this.#client.disconnect()
  }

  #ask(channel: string): void {
    this.#client.subscribe(channel).then(
      () => {
        if (!this.#channels.has(channel)) return
        this.#subscribed.add(channel)
        for (const wake of this.#waiting) wake()
        for (const listener of this.#gapListeners.get(channel) ?? []) listener()
      },
      (error: unknown) => {
        this.#lastError = error
        this.#askAgain()
      },
    )
  }

  /** What is not subscribed to in a while; a connection that is made anew asks by itself. */
  #askAgain(): void {
    this.#cancelRetry()
    this.#cancelRetry = this.#clock.after(
      RETRY_MS,
      () => {
        if (this.#closed || this.#client.status !== 'ready') return
        for (const channel of this.#channels.keys()) if (!this.#subscribed.has(channel)) this.#ask(channel)
      },
      { unref: true },
    )
  }

  async #until(channel: string): Promise<void> {
    const until = this.#clock.monotonic() + this.#patienceMs
    while (!this.#subscribed.has(channel)) {
      if (this.#closed) throw new TaskError('TASKS_CLOSED', `${this.#name}: the transport is closed`)
      const left = until - this.#clock.monotonic()
      if (left <= 0) {
        const why = this.#lastError instanceof Error ? this.#lastError.message : 'no answer'
        throw unavailable(this.#name, `cannot subscribe: ${why}`, 'no', this.#lastError)
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          cancel()
          this.#waiting.delete(wake)
          resolve()
        }
        const cancel = this.#clock.after(left, wake, { unref: true })
        this.#waiting.add(wake)
      })
    }
  }

  #pingRegularly(): void {
    this.#cancelPing = this.#clock.after(
      this.#silenceMs,
      () => {
        if (this.#client.status === 'ready' && this.#answered) {
          this.#answered = false
          const answered = (): void => void (this.#answered = true)
          this.#ping().then(answered, answered)
        }
        if (!this.#closed) this.#pingRegularly()
      },
      { unref: true },
    )
  }
}
