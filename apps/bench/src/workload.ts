// What a workload is: one file of `workloads/`, a function of a bed, which runs once in every round, in a process of its own.
import type { Capabilities } from '@tasks/core'
import type { Bed } from './bed'
import type { Figure } from './figures'
import type { Profile } from './profiler'

export interface Workload {
  readonly name: string
  /** One line: what is done, and how often. */
  readonly title: string
  /** The most rounds that its length is worth. Default: all that were asked for. */
  readonly mostRounds?: number
  /** Measures, notes figures on the bed, and checks that everything ran as often as it must. */
  readonly run: (bed: Bed) => Promise<void>
}

export interface RoundResult {
  readonly figures: readonly Figure[]
  /** What the ratios compare with, by what the floor is a floor of. */
  readonly floors: Readonly<Record<string, string>>
  readonly server: string
  readonly durability: Capabilities['durability']
  readonly seconds: number
  readonly profile?: Profile
}
