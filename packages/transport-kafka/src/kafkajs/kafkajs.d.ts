// The parts of kafkajs 2.2.4 that its types leave out: its connections (TCP, TLS, SASL).

declare module 'kafkajs/src/broker/index.js' {
  import type { Socket } from 'node:net'

  export interface Request {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>
  }
  export interface Response {
    decode(payload: Buffer): Promise<Buffer>
    parse(decoded: Buffer): Promise<Buffer>
  }
  export interface RequestQueue {
    readonly pending: readonly unknown[]
    scheduleCheckPendingRequests(): void
    destroy(): void
  }
  export interface Connection {
    readonly requestQueue: RequestQueue
    readonly socket?: Socket
    send(protocol: { request: Request; response: Response; logResponseError: false }): Promise<Buffer>
    rejectRequests(error: Error): void
    disconnect(): Promise<unknown>
  }
  export default class Broker {
    constructor(options: {
      connectionPool: { readonly pool: readonly Connection[] }
      logger: unknown
      authenticationTimeout?: number
    })
    readonly connectionPool: { readonly pool: readonly Connection[] }
    connect(): Promise<void>
  }
}

declare module 'kafkajs/src/network/connectionPool.js' {
  import type { Connection } from 'kafkajs/src/broker/index.js'

  export default class ConnectionPool {
    constructor(options: Readonly<Record<string, unknown>>)
    readonly pool: readonly Connection[]
  }
}

declare module 'kafkajs/src/network/socketFactory.js' {
  export default function socketFactory(): unknown
}
