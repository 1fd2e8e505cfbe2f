// What takes part in a comparison: this engine or a peer's, each as its own documents say it is fastest.
import type { Tally } from '../tally'

export interface ContenderOptions {
  readonly url: string
  /** Keeps rounds apart. */
  readonly namespace: string
  /** For ours: whether tasks may run in their owner's process without a queue. */
  readonly lane: 'local' | 'queue'
}

export type ContenderName = 'ours' | 'bullmq' | 'bee-queue'

export interface Closable {
  close(): Promise<unknown>
}

/** Lone tasks: a number, and some text if they are to be larger. */
export interface LoneTasks {
  readonly count: number
  readonly payload?: string
}

/** How many results a fan-in was given, and how many of them are not its children's. */
export interface Collected {
  readonly count: number
  readonly wrong: number
}

/** How often the tasks of this process ran, with which numbers. */
export interface Ran {
  readonly noop: Tally
  readonly step: Tally
}

/** What it cannot do is not there. Everything but lone tasks and fan-outs is asked for only where its worker is in the same process. */
export interface Contender {
  readonly ran: Ran
  /** At the concurrency of all, in this process. Resolves when it takes tasks. */
  startWorker(): Promise<Closable>
  /** Resolves when a worker takes pipelines too, wherever it is. */
  ready?(): Promise<void>
  /** Adds no-op tasks in bulk. */
  enqueue(tasks: LoneTasks): Promise<void>
  /** Adds no-op tasks to a queue that nobody serves. */
  pileUp(count: number): Promise<void>
  /** One task, a `step`: resolves with its result once that is durable. */
  ask(index: number): Promise<unknown>
  /** The lightest way to one task's result, if that is another. */
  askLightly?(index: number): Promise<unknown>
  /** Steps that run one behind the other, from 0. Resolves with the last result. */
  chain(steps: number): Promise<unknown>
  /** Chains at once, each of them a pipeline: a step is given the result of the one before. */
  pipelines?(pipelines: number, steps: number): Promise<readonly unknown[]>
  /** The same as tasks of which each adds the next. */
  relays?(pipelines: number, steps: number): Promise<readonly unknown[]>
  /** 1-N-1: a task that makes N children, and one that takes their results. */
  fanOut?(children: number): Promise<Collected>
  /** How many of the tasks that somebody serves are left, or failed. When no worker is up. */
  left(): Promise<number>
  close(): Promise<void>
}
