// Random programs, from a source of choices: a seeded generator in a simulation, a list of numbers that fast-check shrinks in a test.
// A choice of 0 is always the simplest.
import { takesArgs } from './program'
import type {
  BeginUnit,
  ChainUnit,
  EachUnit,
  Failing,
  Gives,
  GroupUnit,
  ListenUnit,
  Program,
  Setting,
  SleepUnit,
  TaskUnit,
  Unit,
  WaitUnit,
} from './program'

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
  /** How long events may be waited for, by those who give up. Default: none are waited for. */
  readonly waits?: readonly number[]
  /** How long what listeners ask for may take to come, and be waited for; above 0. Default: there are none. */
  readonly listens?: readonly number[]
  /** Whether there are handlers of failures, and tasks that run at the end. */
  readonly roles?: boolean
  /** Whether there are chains for each element of a list. */
  readonly each?: boolean
  /** Whether tasks use the pipeline's state, and pipelines begin with some. */
  readonly state?: boolean
  /** Whether entries pause the pipeline. */
  readonly pauses?: boolean
  /** Whether entries may be left out, groups may give their results in any order, and results need not be stored. */
  readonly variants?: boolean
  /** How many runs there may be: some failures are over after one. */
  readonly runs?: number
}

const DEEPEST = 4
const GIVES: readonly Gives[] = ['one', 'one', 'one', 'nothing', 'several', 'much']
const KEYS = ['a', 'b', 'c']
/** Of events that are sent to nobody in particular; those of the last come with numbers, and none has the number 9. */
const NEWS = ['news1', 'news2', 'news3'] as const
const SETTINGS: readonly Setting[1][] = ['own', 'own', 'shared', 'shared', 'nothing']

export function generateProgram(choose: Choose, options: ProgramOptions = {}): Program {
  return new Generator(choose, options).whole(0)
}

class Generator {
  readonly #choose: Choose
  readonly #options: ProgramOptions
  #left: number
  #count = 0
  /** Inside how many templates: what is waited for there is waited for as often as there are elements. */
  #templates = 0
  /** Lists may be in any order: no task looks at it. */
  readonly #isLoose: boolean
  readonly #hasState: boolean

  constructor(choose: Choose, options: ProgramOptions) {
    this.#choose = choose
    this.#options = options
    this.#left = options.size ?? 12
    this.#isLoose = options.variants === true && choose(5) === 4
    this.#hasState = options.state === true && choose(3) === 2
  }

  /** A chain with what is said of a whole pipeline. */
  whole(depth: number): Program {
    const chain = this.#chain(depth)
    const program: Unit[] = [...this.#begin(depth, chain), ...chain]
    if (this.#options.roles !== true || this.#choose(6) < 5) return program
    // How it is run is said where it is bound: nothing can be set for it.
    const { queue: _, priority: __, pauses: ___, how, ...end } = this.#task(depth, false)
    program.push({ ...end, role: 'finally', open: false, policy: 'bound', how: how === 'hangs' ? 'throws' : how })
    return program
  }

  #begin(depth: number, chain: Program): readonly BeginUnit[] {
    const isInline = depth > 0 && this.#hasState && this.#choose(2) === 1
    const state = this.#hasState && this.#choose(3) === 2
    const args = this.#options.variants === true && takesArgs(chain) && this.#choose(3) === 2
    if (!isInline && !state && !args) return []
    return [
      {
        kind: 'begin',
        ...(args ? { args: ['x', 'y'].slice(this.#choose(2)) } : {}),
        ...(state ? { state: { [this.#pick(KEYS)]: 'begun' } } : {}),
        ...(isInline ? { inline: true } : {}),
      },
    ]
  }

  #chain(depth: number): Program {
    const units: ChainUnit[] = []
    for (let length = 1 + this.#choose(4); length > 0 && (this.#left > 0 || units.length === 0); length--)
      for (const unit of this.#next(depth, units.length > 0)) units.push(this.#varied(unit, units.length > 0))
    return units
  }

  #varied(unit: ChainUnit, follows: boolean): ChainUnit {
    const pauses = this.#options.pauses === true && this.#choose(12) === 11
    // What is left out still takes its place among the choices; a handler is always there.
    const mayBeOut = this.#options.variants === true && follows && !(unit.kind === 'task' && unit.role === 'handler')
    const when = mayBeOut && this.#choose(12) === 11 ? this.#choose(2) === 0 : undefined
    return { ...unit, ...(pauses ? { pauses } : {}), ...(when === undefined ? {} : { when }) }
  }

  #next(depth: number, follows: boolean): readonly ChainUnit[] {
    const { roles, each, sleeps = [], waits, listens } = this.#options
    const kinds = 11 + (waits === undefined ? 0 : 2) + (listens === undefined ? 0 : 4)
    const kind = depth < DEEPEST && this.#left > 1 ? this.#choose(kinds) : 0
    if (kind === 5) return [this.#task(depth, true)]
    if (kind === 6 || kind === 7) return [this.#group(depth)]
    if (kind === 8 && follows && roles === true)
      return [{ ...this.#task(depth, this.#choose(3) === 2), role: 'handler', open: true }]
    if (kind === 9 && sleeps.length > 0) return [this.#sleep(sleeps)]
    if (kind === 10 && each === true) return [{ ...this.#task(depth, false), gives: 'list' }, this.#each(depth)]
    if (kind >= 11) return waits !== undefined && kind < 13 ? this.#wait(waits) : this.#listen(listens!)
    return [this.#task(depth, false)]
  }

  #task(depth: number, returns: boolean): TaskUnit {
    const {
      prefix = 't',
      durations = [0],
      failings = ['throws', 'throws for good'],
      queues = [undefined],
      runs = 1,
    } = this.#options
    const choose = this.#choose
    this.#left--
    const label = `${prefix}${++this.#count}`
    const fails = choose(5) < 4 ? 0 : 1 + choose(3)
    const retries = choose(3) === 0 ? undefined : choose(4)
    const queue = this.#pick(queues)
    const priority = choose(8) < 7 ? undefined : choose(12)
    const heals = runs > 1 && fails > 0 && choose(3) < 2 ? 2 + choose(runs - 1) : undefined
    const sets = this.#hasState && choose(3) === 2 ? [this.#setting()] : undefined
    return {
      kind: 'task',
      label,
      open: choose(3) < 2,
      gives: this.#pick(GIVES),
      fails,
      how: this.#pick(failings),
      policy: choose(4) < 3 ? 'used' : 'bound',
      ms: this.#pick(durations),
      ...(returns ? { returns: this.whole(depth + 1) } : {}),
      ...(retries === undefined ? {} : { retries }),
      ...(queue === undefined ? {} : { queue }),
      ...(priority === undefined ? {} : { priority }),
      ...(heals === undefined ? {} : { heals }),
      ...(sets === undefined ? {} : { sets }),
      ...(this.#hasState && choose(2) === 1 ? { tells: true } : {}),
      ...(this.#isLoose ? { loose: true } : {}),
      ...(this.#options.variants === true && choose(8) === 7 ? { pure: true } : {}),
    }
  }

  #setting(): Setting {
    return [this.#pick(KEYS), this.#pick(SETTINGS)]
  }

  #group(depth: number): GroupUnit {
    const chains = Array.from({ length: this.#choose(5) }, () => this.#chain(depth + 1))
    return { kind: 'group', chains, ...this.#sideBySide() }
  }

  #each(depth: number): EachUnit {
    this.#templates++
    const chain = this.#chain(depth + 1)
    this.#templates--
    return { kind: 'each', chain, ...this.#sideBySide() }
  }

  /** Comes in time, too late or never, or nobody knows; or twice, one after the other. */
  #wait(most: readonly number[]): readonly WaitUnit[] {
    const choose = this.#choose
    this.#left--
    const isOwn = choose(3) < 2
    const how = this.#templates > 0 ? 2 : choose(5)
    const ms = this.#pick(most)
    const limit = how === 2 ? { timeoutMs: ms } : how === 3 ? { raceMs: ms } : {}
    if (isOwn) {
      const match = choose(3) === 2 ? { match: 1 + choose(2) } : {}
      const key = `${this.#options.prefix ?? 't'}e${++this.#count}`
      const wait: WaitUnit = { kind: 'wait', key, own: true, ...match, ...limit }
      return how === 4 ? [wait, wait] : [wait]
    }
    const key = how === 2 ? NEWS[2] : this.#pick(NEWS)
    const match = how === 2 ? { match: 9 } : key === NEWS[2] ? { match: 1 + choose(2) } : {}
    return [{ kind: 'wait', key, ...match, ...limit }]
  }

  /** The same of what a listener asks for. */
  #listen(most: readonly number[]): readonly ListenUnit[] {
    const choose = this.#choose
    this.#left--
    const how = this.#templates > 0 ? 2 : choose(5)
    const key = `${this.#options.prefix ?? 't'}s${++this.#count}`
    const listen: ListenUnit = { kind: 'listen', key, number: 1, afterMs: this.#pick(most) }
    const ms = this.#pick(most)
    if (how === 2) return [{ ...listen, timeoutMs: ms }]
    if (how === 3) return [{ ...listen, raceMs: ms }]
    const failing = choose(3) === 2 ? { ...listen, fails: 1 } : listen
    return how === 4 ? [failing, { ...failing, number: 2 }] : [failing]
  }

  #sideBySide() {
    const most = this.#choose(3) < 2 ? undefined : 1 + this.#choose(3)
    return {
      returnExceptions: this.#choose(2) === 1,
      ...(most === undefined ? {} : { maxParallelism: most }),
      ...(this.#isLoose && this.#choose(2) === 1 ? { unordered: true as const } : {}),
    }
  }

  #sleep(sleeps: readonly number[]): SleepUnit {
    const until = this.#options.variants === true && this.#choose(4) === 3
    return { kind: 'sleep', ms: this.#pick(sleeps), ...(until ? { until } : {}) }
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#choose(list.length)]!
  }
}
