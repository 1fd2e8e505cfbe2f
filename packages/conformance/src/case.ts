import type { Ability, TransportHarness } from './harness'
import { Stage } from './stage'

/** What a transport promises. S1 to S10 are the semantics of the SPI's hot path; the rest is named after its part of the SPI. */
export const promises = {
  S1: 'Atomic: rows, consumed messages and sends of a commit, all or nothing',
  S2: 'Fenced: no commit of an earlier claim succeeds, whatever the clocks say',
  S3: 'Sequenced: a commit takes effect at most once, in order, and unknown outcomes are settled',
  S4: 'Complete recovery: a new session sees exactly what was committed, and no message is skipped',
  S5: 'Sends of a commit are delivered at least once, those of a failed one never',
  S6: 'Inbox: every send that was answered ok appears in its partition',
  S7: 'Tasks: at least once, leased, settled by the holder only',
  S8: 'Limits are typed, and checked before any effect',
  S9: 'Waits are bounded and can be cancelled, and lose nothing by it',
  S10: 'An unknown outcome is never called ok',
  opening: 'A namespace is opened as it was created, or refused',
  isolation: 'Namespaces never see each other',
  ownership: 'Partitions are shared, handed over and taken over',
  events: 'Events are kept in order until retention ends, and read from any place, alone or by name',
  'dead letters': 'Dead letters are kept in order until they are redriven or dropped',
  blobs: 'Blobs are kept page by page until they are dropped',
  broadcasts: 'Replies and signals may be lost, and are never invented',
  closing: 'Closing ends everything of its own, at once, and nothing else',
  engine: 'Whole pipelines run on it',
} as const

export type PromiseName = keyof typeof promises

/** One promise, tried in one way. Data, so that any runner runs it, a report lists it, and a broken transport tries it. */
export interface ConformanceCase {
  /** A sentence about the transport. Unique: skips and mutants refer to it. */
  readonly name: string
  readonly promise: PromiseName
  /** What goes wrong for users where it is not kept. */
  readonly because: string
  readonly requires?: readonly Ability[]
  /** How tasks reach their functions, of a case of whole pipelines: there is one case for each way that it is meant for. */
  readonly lane?: 'local' | 'queue' | 'mixed'
  /** Rejects if the promise is broken. Cleans up after itself; no two runs are given the same namespace. */
  run(harness: TransportHarness, namespace: string): Promise<void>
}

/** The `run` of a case that plays on a stage. */
export function staged(play: (stage: Stage) => Promise<void>): ConformanceCase['run'] {
  return async (harness, namespace) => {
    const stage = new Stage(harness, namespace)
    try {
      await play(stage)
    } finally {
      await stage.end()
    }
  }
}
