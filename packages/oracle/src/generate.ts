// Random programs, from a source of choices: a seeded generator in a simulation, a list of numbers that fast-check shrinks in a test.
// A choice of 0 is always the simplest.
import type { Failing, Gives, GroupUnit, Program, TaskUnit, Unit } from './program'

/** A whole number from 0, below `n`. */
export type Choose = (n: number) => number

export interface ProgramOptions {
  /** What labels begin with. */
  readonly prefix?: string
  /** How many tasks it may have, about. */
  readonly size?: number
  /** How long tasks may take. Default: no time. */
  readonly durations?: readonly number[]
  readonly failings?: readonly Failing[]
  readonly queues?: readonly (string | undefined)[]
}

const DEEPEST = 4
const GIVES: readonly Gives[] = ['one', 'one', 'one', 'nothing', 'several', 'much']

export function generateProgram(choose: Choose, options: ProgramOptions = {}): Program {
  const { prefix = 't', durations = [0], failings = ['throws', 'throws for good'], queues = [undefined] } = options
  let left = options.size ?? 12
  let count = 0

  const chain = (depth: number): Program => {
    const units: Unit[] = []
    for (let length = 1 + choose(4); length > 0; length--) units.push(unit(depth))
    return units
  }

  const unit = (depth: number): Unit => {
    const kind = depth < DEEPEST && left > 1 ? choose(8) : 0
    return kind < 5 ? task(depth, false) : kind === 5 ? task(depth, true) : group(depth)
  }

  const task = (depth: number, returns: boolean): TaskUnit => {
    left--
    const label = `${prefix}${++count}`
    const fails = choose(5) < 4 ? 0 : 1 + choose(3)
    const retries = choose(3) === 0 ? undefined : choose(4)
    const queue = queues[choose(queues.length)]
    const priority = choose(8) < 7 ? undefined : choose(12)
    return {
      kind: 'task',
      label,
      open: choose(3) < 2,
      gives: GIVES[choose(GIVES.length)]!,
      fails,
      how: failings[choose(failings.length)]!,
      policy: choose(4) < 3 ? 'used' : 'bound',
      ms: durations[choose(durations.length)]!,
      ...(returns ? { returns: chain(depth + 1) } : {}),
      ...(retries === undefined ? {} : { retries }),
      ...(queue === undefined ? {} : { queue }),
      ...(priority === undefined ? {} : { priority }),
    }
  }

  const group = (depth: number): GroupUnit => {
    const size = choose(5)
    const most = choose(3) < 2 ? undefined : 1 + choose(3)
    return {
      kind: 'group',
      chains: Array.from({ length: size }, () => chain(depth + 1)),
      returnExceptions: choose(2) === 1,
      ...(most === undefined ? {} : { maxParallelism: most }),
    }
  }

  return chain(0)
}
