// What is asked of a client library: connections to brokers, with TLS and SASL. What is said on them is ours (requests.ts).

export interface Address {
  readonly host: string
  readonly port: number
}

/** Which request it is. Its header has version 1, and that of its answer version 0: nothing of a later form is used. */
export interface RequestHead {
  readonly key: number
  readonly version: number
  readonly name: string
}

export interface Connection {
  /** Answers what follows the header of the answer; rejects when the connection ends. */
  send(head: RequestHead, body: Buffer): Promise<Buffer>
  /** At once: what is under way rejects. */
  destroy(): void
}

/** Resolves with a connection on which the broker takes requests: it knows who is there. Gives up when the signal fires. */
export type Connect = (address: Address, signal: AbortSignal) => Promise<Connection>
