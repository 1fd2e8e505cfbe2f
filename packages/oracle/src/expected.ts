// What is to be seen of a pipeline that has run.
import type { Failed } from './given'
import type { ListenUnit, TaskUnit, WaitUnit } from './program'

export interface Expected {
  /** Of the pipeline, from 1: one that fails may be retried. */
  readonly run: number
  readonly outcome: Outcome
  /** Every task that runs in this run, by label. */
  readonly runs: ReadonlyMap<string, ExpectedRun>
  readonly groups: readonly ExpectedGroup[]
  /** Task entries, those of returned pipelines too, but no handler that had nothing to do. */
  readonly tasks: number
  /** Entries that have ended well, in this run and those before. */
  readonly done: number
  /** Attempts that have ended, well or badly. */
  readonly attempts: number
  /** Waits that may or may not have been in time: each that was not is one more task, done in one attempt. */
  readonly races: number
  /** The same of what is asked for by listeners: with each that was not in time there is one more task, and one fewer is done, in as many attempts. */
  readonly listenRaces: number
}

export type Outcome = { readonly result: unknown } | { readonly failure: Failed }

export interface ExpectedRun {
  readonly unit: TaskUnit
  readonly attempts: number
  /** How often: once for each element that its chain is run for. */
  readonly times: number
  /** What it is called with. */
  readonly saw: ReadonlySet<string>
  /** What has to have ended before it starts; some of it in a run before. */
  readonly after: readonly string[]
  /** Somebody has to have resumed the pipeline in between. */
  readonly resumed: boolean
  /** These events have to have come in between, and what listeners have asked for has to have been acknowledged: each of another one. */
  readonly heard: readonly (WaitUnit | ListenUnit)[]
  /** So long it has to have slept in between. */
  readonly asleepMs: number
}

export interface ExpectedGroup {
  readonly most: number
  /** The tasks of each of its chains, in order. */
  readonly chains: readonly (readonly string[])[]
}
