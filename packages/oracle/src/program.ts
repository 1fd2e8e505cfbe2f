// A program is a pipeline as plain data, with everything that its tasks will do written into them: so that what it must come to can be
// computed without running it. Every task has a label, used once: what happened to it can be found in any record.

/** A chain; as a whole pipeline it may begin with what is said of that, and end with a finally. */
export type Program = readonly Unit[]

export type Unit = TaskUnit | GroupUnit | EachUnit | SleepUnit | WaitUnit | ListenUnit | BeginUnit

interface Entry {
  /** The pipeline is paused when it has ended, well or badly. */
  readonly pauses?: true
  /** Said with `continueIf`: whether it is part of the pipeline at all. */
  readonly when?: boolean
}

export interface TaskUnit extends Entry {
  readonly kind: 'task'
  readonly label: string
  /** `handler`: runs after a failure, and gets it. `finally`: the last of a pipeline; runs whatever became of it, and gets nothing. */
  readonly role?: 'handler' | 'finally'
  /** Takes the upstream result. */
  readonly open: boolean
  readonly gives: Gives
  /** The pipeline that it returns instead. */
  readonly returns?: Program
  /** Its first so many attempts fail. */
  readonly fails: number
  readonly how: Failing
  /** In this run of the pipeline, and those after it, no attempt fails: each retry of a pipeline is a run. */
  readonly heals?: number
  /** None: no policy. */
  readonly retries?: number
  /** Whether the policy stands in the definition, or only where the task is bound. */
  readonly policy: 'used' | 'bound'
  /** How long it takes; 0: not even a promise. */
  readonly ms: number
  readonly queue?: string
  readonly priority?: number
  /** What each attempt does to the pipeline's state. */
  readonly sets?: readonly Setting[]
  /** Its result says what state it saw. */
  readonly tells?: true
  /** Does not look at the order of what it is given: what is in a list may have come in any. */
  readonly loose?: true
  /** Its result need not be stored. */
  readonly pure?: true
}

/** What the library knows it by: with a policy of its own it is a task of its own, and so it is if its result need not be stored. */
export function taskNameOf({ policy, retries, pure }: NamedTask): string {
  return (pure ? 'pure' : 'act') + (policy === 'bound' && retries !== undefined ? String(retries) : '')
}

interface NamedTask {
  readonly policy: TaskUnit['policy']
  readonly retries?: number | undefined
  readonly pure?: boolean
}

export type Gives = 'one' | 'nothing' | 'several' | 'much' | 'list'

/** `hangs`: it never ends, and is given up after its `timeoutMs`. `kills`: its process dies of it, each time. */
export type Failing = 'throws' | 'throws for good' | 'asks for time' | 'hangs' | 'kills'

/** To a value that nobody else sets, to one that others set too, or to none. */
export type Setting = readonly [key: string, to: 'own' | 'shared' | 'nothing']

interface SideBySide extends Entry {
  readonly returnExceptions: boolean
  readonly maxParallelism?: number
  /** Results in the order in which the chains end: whatever comes after it is loose. */
  readonly unordered?: true
}

export interface GroupUnit extends SideBySide {
  readonly kind: 'group'
  readonly chains: readonly Program[]
}

/** The same chain for each element of the upstream list. Its labels are used as often as there are elements. */
export interface EachUnit extends SideBySide {
  readonly kind: 'each'
  readonly chain: Program
}

export interface SleepUnit extends Entry {
  readonly kind: 'sleep'
  readonly ms: number
  /** So long after the start of everything; else of the sleep. */
  readonly until?: true
}

/** Waits for an event. Each address has enough of them for all who wait there. */
export interface WaitUnit extends Entry {
  readonly kind: 'wait'
  readonly key: string
  /** Of those that are sent to its pipeline; else of those of the namespace. */
  readonly own?: true
  /** Takes only events with this number. */
  readonly match?: number
  /** Then it fails: of what it would take, nothing comes. */
  readonly timeoutMs?: number
  /** It is waited for so long, and something may come: whoever handles the failure gives what the event would have given, in a list. */
  readonly raceMs?: number
}

/** Waits for an event of somebody else's, for which a listener asks its source. Each run of a pipeline finds the source as it was at first. */
export interface ListenUnit extends Entry {
  readonly kind: 'listen'
  /** Of the source. */
  readonly key: string
  /** The first that it has, or the second, which comes when that is acknowledged. */
  readonly number: number
  /** It is there so long after somebody has asked for it. */
  readonly afterMs: number
  /** So often the source fails when it is asked, and when the event is acknowledged. */
  readonly fails?: number
  /** Then it fails: nothing comes. */
  readonly timeoutMs?: number
  /** As that of a wait. */
  readonly raceMs?: number
}

/** What events of this address, or source, tell. */
export const eventOf = ({ key, match = 0 }: Pick<WaitUnit, 'key' | 'match'>) => ({ key, number: match })

/** What is said of a whole pipeline: `withInitial`, `inline`. */
export interface BeginUnit {
  readonly kind: 'begin'
  readonly args?: readonly string[]
  readonly state?: Readonly<Record<string, string>>
  readonly inline?: true
}

/** What there is in a chain once it is described. */
export type ChainUnit = Exclude<Unit, BeginUnit>

/** What a pipeline is made of: what it begins with, its chain, and what runs at its end. */
export interface Parts {
  readonly begin: BeginUnit | undefined
  readonly chain: readonly ChainUnit[]
  readonly end: TaskUnit | undefined
}

export function partsOf(program: Program): Parts {
  const [first] = program
  const last = program.at(-1)
  return {
    begin: first?.kind === 'begin' ? first : undefined,
    chain: program.filter((unit): unit is ChainUnit => unit.kind !== 'begin' && unit.when !== false && !isEnd(unit)),
    end: last !== undefined && isEnd(last) ? (last as TaskUnit) : undefined,
  }
}

/** Whether a pipeline that is described like this may begin with arguments. */
export function takesArgs([first]: Program): boolean {
  return first?.kind === 'task' && first.open
}

/** Something has to come before what handles it, ends it, or may be left out. */
export function isWhole(program: Program): boolean {
  const [first, ...rest] = program
  if (first?.kind === 'begin') return isWhole(rest) && (first.args === undefined || takesArgs(rest))
  return first !== undefined && first.when === undefined && (first.kind !== 'task' || first.role === undefined)
}

export const isEnd = (unit: Unit): boolean => unit.kind === 'task' && unit.role === 'finally'

/** The chains in a unit, as its definition has them. */
function chainsOf(unit: Unit): readonly Program[] {
  return unit.kind === 'group' ? unit.chains : unit.kind === 'each' ? [unit.chain] : []
}

/** Task entries of its definition: those of pipelines that its tasks return are not in it. */
export function taskCount(program: Program): number {
  const { chain, end } = partsOf(program)
  let count = end === undefined ? 0 : 1
  for (const unit of chain) {
    if (unit.kind === 'task') count++
    // Who handles that nothing came.
    if ((unit.kind === 'wait' || unit.kind === 'listen') && unit.raceMs !== undefined) count++
    // Who asks, who acknowledges, and who says for how long.
    if (unit.kind === 'listen') count += isLimited(unit) ? 3 : 2
    for (const inner of chainsOf(unit)) count += taskCount(inner)
  }
  return count
}

/** All units of a program, those that are returned too. */
function* unitsOf(program: Program): Generator<Unit> {
  for (const unit of program) {
    yield unit
    if (unit.kind === 'task') yield* unitsOf(unit.returns ?? [])
    for (const chain of chainsOf(unit)) yield* unitsOf(chain)
  }
}

/** All tasks of a program, those that are returned too. */
export function tasksOf(program: Program): TaskUnit[] {
  return [...unitsOf(program)].filter((unit): unit is TaskUnit => unit.kind === 'task')
}

/** All events that are waited for. */
export function waitsOf(program: Program): WaitUnit[] {
  return [...unitsOf(program)].filter((unit): unit is WaitUnit => unit.kind === 'wait')
}

/** Everything of somebody else's that is waited for. */
export function listensOf(program: Program): ListenUnit[] {
  return [...unitsOf(program)].filter((unit): unit is ListenUnit => unit.kind === 'listen')
}

export const isLimited = ({ timeoutMs, raceMs }: ListenUnit): boolean => (timeoutMs ?? raceMs) !== undefined

/** Whether the order of lists in its outcome is anybody's guess. */
export function isLoose(program: Program): boolean {
  for (const unit of unitsOf(program)) if ('unordered' in unit) return true
  return false
}

/** Whether it pauses itself. */
export function pausesItself(program: Program): boolean {
  for (const unit of unitsOf(program)) if ('pauses' in unit) return true
  return false
}
