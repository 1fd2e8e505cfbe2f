import type { Client, Pipeline, Tasks } from '@tasks/core'
import type { TransportHarness } from '../harness'

/** What a listener's author gives the suite: a source that events come from, and how a pipeline waits for them. */
export interface ListenerHarness {
  readonly name: string
  /** A source of its own for each case, and for each of the crashes that one tries. */
  create(world: ListenerWorld): Promise<ListenerSource> | ListenerSource
  /** Where pipelines are while they wait. Default: in memory. Without `crash` a process that dies closes its connection, after which nothing more is heard of it. */
  readonly store?: Pick<TransportHarness, 'create' | 'crash'>
  /** A lease that is short, and yet much longer than a busy machine stands still. Default 500. */
  readonly leaseMs?: number
  /** Patience for what should happen. Default 20,000. */
  readonly eventuallyMs?: number
  /** Patience for what should not. Default 50. */
  readonly settleMs?: number
  /** Called once, after the last case. */
  dispose?(): Promise<void> | void
}

/** Where a source is. */
export interface ListenerWorld {
  readonly namespace: string
  /** Of the namespace that the pipelines are in, for events that are sent from outside. */
  readonly client: Client
}

export interface ListenerSource {
  /** What each worker process does: binds the listener to its registry, on connections of its own. */
  process(tasks: Tasks): ListenerProcess
  /** Makes an event happen, the first is 0. Resolves with what the pipeline is to get, when the source has it. */
  occur(nth: number, pipelineId: string): Promise<unknown>
  /** Whether it has happened, or is just happening. */
  hasOccurred(nth: number): boolean
  /** How many events it keeps because nobody has told it that they are safe. Without it: it keeps none. */
  held?(): Promise<number> | number
  close?(): Promise<void> | void
}

export interface ListenerProcess {
  /** Waits for the nth event where one can choose, else for any. */
  wait(nth: number): Pipeline<unknown>
  /** What SIGKILL does to its connections: nothing is given back. */
  die?(): void
}
