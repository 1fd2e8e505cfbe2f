// oxlint-disable-next-line typescript/triple-slash-reference -- packages that read this one from its source find the declarations by nothing else
/// <reference path="./kafkajs.d.ts" />
// One connection to one broker: kafkajs' for TCP, TLS, SASL and versions of requests. What becomes of a call when it breaks is decided here: kafkajs' own producer, consumer and admin
// try again by policies of their own, sleep 300 ms where 1 would do, and say of no error whether it had an effect.
//
// L1. Every call settles, within its time. One that does not is the end of its connection: nothing that comes late is taken for the answer to something else.
// L2. A connection that has failed is never used again: kafkajs keeps what was half read.
import type { Clock } from '@tasks/core/adapter'
import type { KafkaConfig } from 'kafkajs'
import type { Request } from 'kafkajs/src/broker/index.js'
import Broker from 'kafkajs/src/broker/index.js'
import ConnectionPool from 'kafkajs/src/network/connectionPool.js'
import defaultSocketFactory from 'kafkajs/src/network/socketFactory.js'
import apiKeys from 'kafkajs/src/protocol/requests/apiKeys.js'
import protocols from 'kafkajs/src/protocol/requests/index.js'

/** What kafkajs says; ours decides who hears it. */
export type Listener = (level: 'warn' | 'error', message: string, details: Readonly<Record<string, unknown>>) => void

export interface LineOptions {
  readonly client: KafkaConfig
  readonly clock: Clock
  readonly silenceMs: number
  readonly onLog: Listener
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** The call was not sent: there is no connection. */
export class NotSent extends Error {}

const CONNECT_MS = 3_000

export class Line {
  readonly #options: LineOptions
  readonly #address: Address
  #broker: Promise<Broker> | undefined
  #closed = false

  constructor(options: LineOptions, address: Address) {
    this.#options = options
    this.#address = address
  }

  /** One of kafkajs' requests. The answer has its error codes in it: nothing is thrown for them. */
  async call<T>(api: string, args: Readonly<Record<string, unknown>>, silenceMs?: number): Promise<T> {
    const broker = await this.#connected()
    const { request, response } = broker.lookupRequest(apiKeys[api]!, protocols.requests[api])(args)
    return this.#send<T>(broker, request, (payload) => response.decode(payload), silenceMs)
  }

  /** A request of ours. */
  async send<T>(
    api: { readonly key: number; readonly version: number; readonly name: string },
    body: Buffer,
    decode: (payload: Buffer) => T,
    silenceMs?: number,
  ): Promise<T> {
    const broker = await this.#connected()
    const request: Request = {
      apiKey: api.key,
      apiVersion: api.version,
      apiName: api.name,
      encode: () => Promise.resolve({ buf: body, buffer: body }),
    }
    return this.#send<T>(broker, request, async (payload) => decode(payload), silenceMs)
  }

  /** Ends what is under way. The next call connects again, unless this was the last word. */
  cut(): void {
    const broker = this.#broker
    this.#broker = undefined
    broker?.then(destroy, () => {})
  }

  close(): void {
    this.#closed = true
    this.cut()
  }

  async #send<T>(
    broker: Broker,
    request: Request,
    decode: (payload: Buffer) => Promise<unknown>,
    silenceMs = this.#options.silenceMs,
  ): Promise<T> {
    const response = { decode, parse: (decoded: unknown) => Promise.resolve(decoded) }
    const sent = broker.connectionPool.pool[0]!.send({ request, response, logResponseError: false })
    try {
      return (await this.#within(silenceMs, `${request.apiName} was not answered`, sent)) as T
    } catch (error) {
      this.#drop(broker)
      throw error
    }
  }

  async #connected(): Promise<Broker> {
    if (this.#closed) throw new NotSent('the connection is closed')
    const connecting = (this.#broker ??= this.#connect())
    let broker: Broker
    try {
      broker = await connecting
    } catch (error) {
      if (this.#broker === connecting) this.#broker = undefined
      throw new NotSent(error instanceof Error ? error.message : String(error), { cause: error })
    }
    if (this.#broker !== connecting) throw new NotSent('the connection was cut')
    return broker
  }

  async #connect(): Promise<Broker> {
    const { client, onLog } = this.#options
    const { host, port } = this.#address
    const logger = loggerFor(onLog)
    const connectionPool = new ConnectionPool({
      connectionTimeout: CONNECT_MS,
      socketFactory: defaultSocketFactory(),
      ...client,
      host,
      port,
      logger,
      requestTimeout: this.#options.silenceMs,
      enforceRequestTimeout: false,
      maxInFlightRequests: null,
    })
    for (const { requestQueue } of connectionPool.pool) calm(requestQueue)
    const broker = new Broker({
      connectionPool,
      logger,
      ...(client.authenticationTimeout !== undefined && { authenticationTimeout: client.authenticationTimeout }),
    })
    try {
      await this.#within(2 * CONNECT_MS, `${host}:${port} does not answer`, broker.connect())
    } catch (error) {
      destroy(broker)
      throw error
    }
    return broker
  }

  #drop(broker: Broker): void {
    destroy(broker)
    this.#broker?.then(
      (current) => {
        if (current === broker) this.#broker = undefined
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

function destroy(broker: Broker): void {
  for (const connection of broker.connectionPool.pool) {
    connection.rejectRequests(new Error('the connection was cut'))
    connection.requestQueue.destroy()
    connection.socket?.destroy()
    // It knows nothing of that.
    void connection.disconnect()
  }
}

/** Left alone, kafkajs' queue sets a timer of a negative time each time it looks at it, from the first answer on: a core of which a hundredth is always busy, and a warning of Node 24. */
function calm(queue: Broker['connectionPool']['pool'][number]['requestQueue']): void {
  const schedule = queue.scheduleCheckPendingRequests.bind(queue)
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) schedule()
  }
}

function loggerFor(onLog: Listener): unknown {
  const silent = (): void => {}
  const logger = {
    namespace: () => logger,
    debug: silent,
    info: silent,
    warn: (message: string, details = {}) => onLog('warn', message, details),
    error: (message: string, details = {}) => onLog('error', message, details),
  }
  return logger
}
