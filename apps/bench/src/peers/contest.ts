// What a contest is: one file of `contests/`, the same work for every contender, which runs once in every round, in a process of its own.
import type { Unit } from '../figures'
import type { Arena } from './arena'
import type { ContenderOptions } from './contender'

/** What ours should be, in times what BullMQ's is in the same turn. */
export interface Bar {
  readonly bar: number
  readonly reach: number
}

export interface Row extends Partial<Bar> {
  readonly name: string
  readonly unit: Unit
}

export interface Contest {
  readonly name: string
  /** One line: what is done, and how often. */
  readonly title: string
  readonly lane?: ContenderOptions['lane']
  readonly rows: readonly Row[]
  /** Measures by `arena.takeTurns`, and checks that everything ran as often as it must. */
  readonly run: (arena: Arena) => Promise<void>
}

/** Of a rate one wants more, of anything else less. */
export const isRate = ({ unit }: Row): boolean => unit === '/s'
