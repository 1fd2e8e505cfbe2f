// One connection to one broker, and what becomes of a call when it breaks: client libraries try again by policies of their own, and say of no error whether it had an effect.
//
// L1. Every call settles, within its time. One that does not is the end of its connection: nothing that comes late is taken for the answer to something else.
// L2. A connection that has failed is never used again.
import type { Clock } from '@tasks/core/adapter'
import type { Address, Connect, Connection } from './connection'
import type { Api } from './requests'

export interface LineOptions {
  readonly connect: Connect
  readonly clock: Clock
  readonly silenceMs: number
}

/** The call was not sent: there is no connection. */
export class NotSent extends Error {}

const CONNECT_MS = 6_000

export class Line {
  readonly #options: LineOptions
  readonly #address: Address
  #connection: Promise<Connection> | undefined
  #closed = false

  constructor(options: LineOptions, address: Address) {
    this.#options = options
    this.#address = address
  }

  /** The answer has its error codes in it: nothing is thrown for them. */
  async call<Q, A>(api: Api<Q, A>, question: Q, silenceMs = this.#options.silenceMs): Promise<A> {
    const body = api.encode(question)
    const connection = await this.#connected()
    try {
      return api.decode(await this.#within(silenceMs, `${api.name} was not answered`, connection.send(api, body)))
    } catch (error) {
      this.#drop(connection)
      throw error
    }
  }

  /** Ends what is under way. The next call connects again, unless this was the last word. */
  cut(): void {
    const connection = this.#connection
    this.#connection = undefined
    connection?.then(
      (open) => open.destroy(),
      () => {},
    )
  }

  close(): void {
    this.#closed = true
    this.cut()
  }

  async #connected(): Promise<Connection> {
    if (this.#closed) throw new NotSent('the connection is closed')
    const connecting = (this.#connection ??= this.#connect())
    let connection: Connection
    try {
      connection = await connecting
    } catch (error) {
      if (this.#connection === connecting) this.#connection = undefined
      throw new NotSent(error instanceof Error ? error.message : String(error), { cause: error })
    }
    if (this.#connection !== connecting) throw new NotSent('the connection was cut')
    return connection
  }

  async #connect(): Promise<Connection> {
    const { host, port } = this.#address
    const giveUp = new AbortController()
    const connecting = this.#options.connect(this.#address, giveUp.signal)
    try {
      return await this.#within(CONNECT_MS, `${host}:${port} does not answer`, connecting)
    } catch (error) {
      giveUp.abort()
      throw error
    }
  }

  #drop(connection: Connection): void {
    connection.destroy()
    this.#connection?.then(
      (current) => {
        if (current === connection) this.#connection = undefined
      },
      () => {},
    )
  }

  #within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.clock.after(ms, () => reject(new Error(`${what} within ${ms} ms`)), { unref: true })
      promise.then(resolve, reject).finally(cancel)
    })
  }
}
