// Cases that have failed once, made simple: they are run each time. A seed alone would not do: what it stands for changes with the generator.
import cases from './once-failed.json'
import type { Scenario } from './scenario'

export interface OnceFailed {
  /** What was wrong. */
  readonly found: string
  /** The seed that showed it first, at that time. */
  readonly seed: number
  readonly scenario: Scenario
  readonly faults: readonly string[]
}

export const onceFailed = cases as unknown as readonly OnceFailed[]
