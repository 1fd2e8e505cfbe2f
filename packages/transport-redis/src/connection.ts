// A connection that is never in doubt for long. ioredis keeps it open; what becomes of a call when it breaks is decided here.
//
// C1. Nothing is executed twice that may not be. ioredis would send again what was under way, and keep a queue while it is offline: both are off.
// C2. Every call settles: when its answer comes, when its connection closes, or when the server has been silent for too long, in which case the
//     connection is closed. (A socket whose other end is gone without a word does not close by itself; and without resending, ioredis 6.0 leaves
//     the promises of calls under way unsettled.)
// C3. A repeatable call is made again until its time is over, and so is one that certainly had no effect. Any other is reported as it is: not known.
//     What was sent may arrive after it was made again: by a slow way that is not this machine's. A repeatable call is one that may arrive late, too.
// C4. Calls of one turn of the event loop leave in one write.
import type { Clock } from '@tasks/core/adapter'
import { sleep, TaskError } from '@tasks/core/adapter'
import type { Redis } from 'ioredis'
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Argument } from './call'
import { Call } from './call'
import {
  isCertain,
  isPassing,
  isReply,
  isUnknownScript,
  isUnsent,
  refused,
  unavailable,
  wantsAnotherServer,
} from './failure'
import type { Script } from './script'

const RETRY_MS = 50
/** The slowest network that is waited for while a large call is on its way: 2 Mbit/s. What the kernel has of it cannot be seen. */
const LEAST_BYTES_PER_MS = 256
const LARGE_BYTES = 256 * 1024
/** The event loop has been around by then. */
const SECOND_LOOK_MS = 10

export interface ConnectionOptions {
  readonly client: Redis
  readonly clock: Clock
  /** How long a call is tried. */
  readonly patienceMs: number
  /** How long the server may say nothing while it is asked something. */
  readonly silenceMs: number
  /** The server, for messages. */
  readonly name: string
  /** Called when it has been silent for too long: what is the matter may be with other connections too. */
  readonly onSilence: () => void
}

export interface RunOptions {
  /** How long it is tried. */
  readonly patienceMs?: number
}

/** For what is given back at the end: its lease runs out if it cannot be. Else nobody could close while the server is away. */
export const BRIEFLY: RunOptions = { patienceMs: 500 }

/** What settles a call that the server has not answered. */
type Fail = (error: TaskError) => void

export class Connection {
  readonly #client: Redis
  readonly #clock: Clock
  readonly #patienceMs: number
  readonly #silenceMs: number
  readonly #name: string
  readonly #onSilence: () => void
  readonly #pending = new Set<Fail>()
  readonly #waitingForReady = new Set<() => void>()
  /** Bytes of the calls under way. */
  #sending = 0
  #heardAt = 0
  /** Bytes that the connection had read then. */
  #heard = 0
  #cancelWatch: (() => void) | undefined
  #corked = false
  #lastError: unknown
  #closed: TaskError | undefined

  constructor({ client, clock, patienceMs, silenceMs, name, onSilence }: ConnectionOptions) {
    this.#client = client
    this.#clock = clock
    this.#patienceMs = patienceMs
    this.#silenceMs = silenceMs
    this.#name = name
    this.#onSilence = onSilence
    client.on('error', (error: unknown) => (this.#lastError = error))
    client.on('connect', () => this.#watchGreeting())
    client.on('ready', () => {
      this.#lastError = undefined
      this.#wakeAll()
    })
    client.on('close', () => this.#failAll('the connection was lost before the answer came'))
    client.on('end', () => this.#wakeAll())
  }

  /**
   * Runs a script.
   * @param args may depend on how many tries are in doubt: earlier ones that may have been executed, or may still be
   */
  run(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[] | ((inDoubt: number) => readonly Argument[]),
    { patienceMs }: RunOptions = {},
  ): Promise<unknown> {
    const attempt = (inDoubt: number): Promise<unknown> => {
      const rest = [keys.length, ...keys, ...(typeof args === 'function' ? args(inDoubt) : args)]
      const whole = (): Call => new Call('eval', [script.source, ...rest])
      return this.#send(new Call('evalsha', [script.sha, ...rest]), whole)
    }
    return this.#insist(script.name, attempt, script.repeatable, patienceMs)
  }

  /** Any other command. It may be made again, so it has to be one that reads, or that changes nothing the second time. */
  command(name: string, ...args: readonly Argument[]): Promise<unknown> {
    return this.#insist(name, () => this.#send(new Call(name, args)), true)
  }

  /** Asks the server whether it is there; if it says nothing, the connection is closed like any other that is silent. */
  ping(): Promise<unknown> {
    return this.#send(new Call('ping', []))
  }

  /** Without a good-bye, which a dead socket would never deliver. ioredis then connects again. */
  reconnect(): void {
    const { stream } = this.#client
    // A reset also makes the system forget what it was going to send. A socket that is not TCP's alone has none.
    if (stream instanceof Socket && !(stream instanceof TLSSocket)) stream.resetAndDestroy()
    else stream?.destroy()
  }

  /** Another connection to the server was silent: this one may be dead, too, unless something large is under way, which may be what the other waits for. */
  suspect(): void {
    if (this.#sending < LARGE_BYTES) this.reconnect()
  }

  close(): void {
    this.#closed ??= new TaskError('TASKS_CLOSED', `${this.#name}: the transport is closed`)
    for (const fail of this.#pending) fail(this.#closed)
    this.#wakeAll()
    this.#cancelWatch?.()
    this.#client.disconnect()
  }

  #refuseIfClosed(): void {
    if (this.#closed !== undefined) throw this.#closed
  }

  // ---- Trying

  async #insist(
    what: string,
    attempt: (inDoubt: number) => Promise<unknown>,
    repeatable: boolean,
    patienceMs = this.#patienceMs,
  ): Promise<unknown> {
    const until = this.#clock.monotonic() + patienceMs
    for (let inDoubt = 0; ;) {
      this.#refuseIfClosed()
      if (this.#client.status !== 'ready') await this.#ready(what, until)
      try {
        return await attempt(inDoubt)
      } catch (error) {
        this.#refuseIfClosed()
        const isOver = this.#clock.monotonic() >= until
        if (TaskError.is(error)) {
          if (isOver || !(repeatable || isCertain(error))) throw error
          if (!isCertain(error)) inDoubt++
        } else {
          if (isOver || !isPassing(error)) throw refused(error, `${this.#name}: ${what}`)
          if (wantsAnotherServer(error)) this.reconnect()
        }
        // Also lets the event loop go on: a socket that is about to close still looks ready.
        await sleep(this.#clock, RETRY_MS)
      }
    }
  }

  /** Waits for the connection, if it is not there. */
  async #ready(what: string, until: number): Promise<void> {
    if (this.#client.status === 'wait') this.#client.connect().catch(() => {})
    while (this.#client.status !== 'ready') {
      this.#refuseIfClosed()
      const left = until - this.#clock.monotonic()
      if (left <= 0 || this.#client.status === 'end') {
        const { message } = (this.#lastError ?? new Error('no connection')) as Error
        throw unavailable(this.#name, `${what} was not sent: ${message}`, 'no', this.#lastError)
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          cancel()
          this.#waitingForReady.delete(wake)
          resolve()
        }
        const cancel = this.#clock.after(left, wake)
        this.#waitingForReady.add(wake)
      })
    }
  }

  #wakeAll(): void {
    for (const wake of this.#waitingForReady) wake()
  }

  // ---- One try

  /** @param whole the call with its script: a server that was restarted, or a replica that took over, knows none; from then on it does */
  #send(call: Call, whole?: () => Call): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        if (this.#pending.delete(fail)) this.#sending -= call.byteLength
      }
      const settle = (): void => {
        end()
        this.#hear()
      }
      const fail: Fail = (error) => {
        end()
        reject(error)
      }
      this.#cork()
      if (this.#pending.size === 0) this.#watch()
      this.#pending.add(fail)
      this.#sending += call.byteLength
      ;(this.#client.sendCommand(call) as Promise<unknown>).then(
        (answer) => {
          settle()
          resolve(answer)
        },
        (error: unknown) => {
          const isAwaited = this.#pending.has(fail)
          settle()
          if (isAwaited && whole !== undefined && isUnknownScript(error)) return resolve(this.#send(whole()))
          reject(
            isReply(error) ? error : unavailable(this.#name, String(error), isUnsent(error) ? 'no' : 'unknown', error),
          )
        },
      )
    })
  }

  #cork(): void {
    const { stream } = this.#client
    if (this.#corked || stream === undefined) return
    this.#corked = true
    stream.cork()
    process.nextTick(() => {
      this.#corked = false
      stream.uncork()
    })
  }

  // ---- Silence

  #hear(): void {
    this.#heardAt = this.#clock.monotonic()
    this.#heard = this.#client.stream?.bytesRead ?? 0
  }

  /** One timer for all calls that are under way. */
  #watch(): void {
    this.#hear()
    if (this.#cancelWatch !== undefined) return
    const look = (isSecond: boolean): void => {
      this.#cancelWatch = undefined
      if (this.#pending.size === 0) return
      // A part of a long answer.
      if (this.#client.stream?.bytesRead !== this.#heard) this.#hear()
      const left = this.#heardAt + this.#silenceMs + this.#sending / LEAST_BYTES_PER_MS - this.#clock.monotonic()
      if (left > 0) lookIn(left)
      else if (!isSecond) this.#cancelWatch = this.#whenRead(() => look(true))
      else {
        this.#failAll(`no answer for ${this.#silenceMs} ms`)
        this.reconnect()
        this.#onSilence()
      }
    }
    const lookIn = (ms: number): void => {
      this.#cancelWatch = this.#clock.after(ms, () => look(false), { unref: true })
    }
    lookIn(this.#silenceMs)
  }

  /** It may have been this process that did not listen: a task has kept the event loop to itself. What has come meanwhile is read first. */
  #whenRead(look: () => void): () => void {
    return this.#clock.after(SECOND_LOOK_MS, () => this.#clock.soon(look), { unref: true })
  }

  /** Nor is what ioredis asks before it is ready waited for without end: who has taken the connection may be a balancer whose server is gone. */
  #watchGreeting(): void {
    const { stream } = this.#client
    let heard = -1
    const look = (isSecond: boolean): void => {
      if (this.#closed !== undefined || this.#client.stream !== stream || this.#client.status !== 'connect') return
      if (stream.bytesRead !== heard) {
        heard = stream.bytesRead
        this.#clock.after(this.#silenceMs, () => look(false), { unref: true })
      } else if (isSecond) this.reconnect()
      else this.#whenRead(() => look(true))
    }
    look(false)
  }

  #failAll(why: string): void {
    for (const fail of this.#pending) fail(unavailable(this.#name, why, 'unknown', this.#lastError))
  }
}
