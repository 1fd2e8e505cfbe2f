import type { Capabilities, Transport } from '@tasks/core'

/** What an adapter's author gives the suite: how to make a transport, what it can do, and what can be done to it. */
export interface TransportHarness {
  /** The adapter, for people: `sqlite`, `redis 7.0`. */
  readonly name: string
  /** What every transport of `create` says of itself. */
  readonly capabilities: Capabilities
  /** A new connection to the same store, each time: what another process would make. */
  create(): Promise<Transport> | Transport
  /** Says that spaces have a `reader`. */
  readonly reader?: boolean
  /** The same store under small limits, if the real ones are too large to be tried. */
  readonly small?: { readonly capabilities: Capabilities; create(): Promise<Transport> | Transport }
  /** The death of a process: nothing is given back, and nothing more comes from this connection. */
  crash?(transport: Transport): Promise<void> | void
  /** What SIGSTOP does to ownership: no heartbeat of this connection reaches the store until the returned function is called. Commits do. */
  stall?(transport: Transport): () => void
  /** Stops the server as the advertised durability allows, and starts it again. Connections may be lost by it. */
  restartBroker?(): Promise<void>
  readonly faults?: HarnessFaults
  /** Says that what retention does not ask for is gone once the next event of its partition is stored. */
  readonly retention?: boolean
  /** A lease that is short, and yet much longer than the store's hiccups. Default 1,000. */
  readonly leaseMs?: number
  /** Patience for what should happen. Default 5,000. */
  readonly eventuallyMs?: number
  /** Patience for what should not. Default 200. */
  readonly settleMs?: number
  /** A case has ended, and what the store has of its namespaces, which all begin with this, is needed no more. For stores that do not take hundreds of them. */
  forget?(namespace: string): Promise<void> | void
  /** Called once, after the last case. */
  dispose?(): Promise<void> | void
}

/** What can happen to a call whose caller hears nothing: `lost` on its way there, or `unanswered`: applied, and the answer lost. */
export type Unknown = 'lost' | 'unanswered'

/** Each arms one fault, for the next call of its kind on this connection. An adapter that finds out and answers right is fine. */
export interface HarnessFaults {
  commit?(transport: Transport, fault: Unknown): void
  send?(transport: Transport, fault: Unknown): void
  settle?(transport: Transport, fault: Unknown): void
}

/** What a case may need of a harness or transport that not every one has. */
export type Ability = keyof typeof abilities

const abilities = {
  reader: (harness) => harness.reader === true,
  priorities: (harness) => harness.capabilities.priorities > 1,
  'checks absent': (harness) => harness.capabilities.checksAbsent === true,
  'reachable limits': (harness) => reachable((harness.small ?? harness).capabilities),
  crash: (harness) => harness.crash !== undefined,
  stall: (harness) => harness.stall !== undefined,
  retention: (harness) => harness.retention === true,
  restartBroker: (harness) => harness.restartBroker !== undefined,
  'faults.commit': (harness) => harness.faults?.commit !== undefined,
  'faults.send': (harness) => harness.faults?.send !== undefined,
  'faults.settle': (harness) => harness.faults?.settle !== undefined,
} satisfies Record<string, (harness: TransportHarness) => boolean>

export function has(harness: TransportHarness, ability: Ability): boolean {
  return abilities[ability](harness)
}

function reachable({ maxMessageBytes, maxCommitBytes, maxCommitItems }: Capabilities): boolean {
  return maxMessageBytes <= 16 * 2 ** 20 && maxCommitBytes <= 128 * 2 ** 20 && maxCommitItems <= 100_000
}
