// What a simulated cluster leaves behind, for those who look at it: what was asked for and what was answered, and everything that happened.
import type { PipelineStatus } from '@tasks/core'
import type { Expected, Outcome } from '@tasks/oracle'
import type { Faults } from './faults'
import type { History } from './history'
import type { Journal } from './journal'
import type { CommandSpec, EventSpec, LonerSpec, PipelineSpec, Scenario, SubmitSpec } from './scenario'

/** What a client has got for what it has asked for. */
export type Answer = Outcome | { readonly refused: string }

export interface SubmitRecord {
  readonly pipeline: PipelineSpec
  readonly submit: SubmitSpec
  /** How often it was sent, as something new each time. */
  tries: number
  /** Its answer may be that of any run that the id has had: it was asked for by the id alone. */
  attached: boolean
  /** Its client was told that it is stored, and will not submit it again, whatever becomes of its process. */
  stored: boolean
  answer: Answer | undefined
}

export interface LonerRecord {
  readonly loner: LonerSpec
  readonly expected: Expected
  sent: boolean
  answer: Answer | undefined
}

export interface CommandRecord {
  readonly spec: CommandSpec
  /** An error's code, or that it was obeyed. */
  answer: string | undefined
}

export interface EventRecord {
  readonly spec: EventSpec
  /** How often it is known to have been sent. */
  sent: number
}

/** How many commands were given to a pipeline, and what clients were told of them. */
export interface Told {
  given: number
  obeyed: number
  refused: number
}

export interface Recording {
  readonly scenario: Scenario
  readonly history: History
  readonly journal: Journal
  readonly faults: Faults
  readonly submits: readonly SubmitRecord[]
  readonly loners: readonly LonerRecord[]
  readonly commands: readonly CommandRecord[]
  readonly told: ReadonlyMap<string, Told>
  /** Gaps in what a listener has heard. */
  readonly gaps: number
  readonly statuses: ReadonlyMap<string, PipelineStatus>
  /** `<reason> <task's label>`. */
  readonly letters: readonly string[]
  /** Why it did not come to its end. */
  readonly stuck: string | undefined
  readonly steps: number
}
