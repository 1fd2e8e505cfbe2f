// Random programs, from a source of choices: a seeded generator in a simulation, a list of numbers that fast-check shrinks in a test.
// A choice of 0 is always the simplest.
import type { EachUnit, Failing, Gives, GroupUnit, Program, TaskUnit, Unit } from './program'

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
  /** How long sleeps may take. Default: there are none. */
  readonly sleeps?: readonly number[]
  /** Whether there are handlers of failures, and tasks that run at the end. */
  readonly roles?: boolean
  /** Whether there are chains for each element of a list. */
  readonly each?: boolean
}

const DEEPEST = 4
const GIVES: readonly Gives[] = ['one', 'one', 'one', 'nothing', 'several', 'much']

export function generateProgram(choose: Choose, options: ProgramOptions = {}): Program {
  const {
    prefix = 't',
    durations = [0],
    failings = ['throws', 'throws for good'],
    queues = [undefined],
    sleeps = [],
  } = options
  let left = options.size ?? 12
  let count = 0

  const chain = (depth: number): Program => {
    const units: Unit[] = []
    for (let length = 1 + choose(4); length > 0 && (left > 0 || units.length === 0); length--)
      units.push(...next(depth, units.length > 0))
    return units
  }

  /** A chain with what is said of a whole pipeline. */
  const whole = (depth: number): Program => {
    const units = chain(depth)
    if (options.roles !== true || choose(6) < 5) return units
    // How it is run is said where it is bound: nothing can be set for it.
    const { queue: _, priority: __, how, ...end } = task(depth, false)
    return [...units, { ...end, role: 'finally', open: false, policy: 'bound', how: how === 'hangs' ? 'throws' : how }]
  }

  const next = (depth: number, follows: boolean): readonly Unit[] => {
    const kind = depth < DEEPEST && left > 1 ? choose(11) : 0
    if (kind === 5) return [task(depth, true)]
    if (kind === 6 || kind === 7) return [group(depth)]
    if (kind === 8 && follows && options.roles === true)
      return [{ ...task(depth, choose(3) === 2), role: 'handler', open: true }]
    if (kind === 9 && sleeps.length > 0) return [{ kind: 'sleep', ms: sleeps[choose(sleeps.length)]! }]
    if (kind === 10 && options.each === true) return [{ ...task(depth, false), gives: 'list' }, each(depth)]
    return [task(depth, false)]
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
      ...(returns ? { returns: whole(depth + 1) } : {}),
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

  const each = (depth: number): EachUnit => {
    const most = choose(3) < 2 ? undefined : 1 + choose(3)
    return {
      kind: 'each',
      chain: chain(depth + 1),
      returnExceptions: choose(2) === 1,
      ...(most === undefined ? {} : { maxParallelism: most }),
    }
  }

  return whole(0)
}
