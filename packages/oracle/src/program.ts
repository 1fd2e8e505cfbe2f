// A program is a pipeline as plain data, with everything that its tasks will do written into them: so that what it must come to can be
// computed without running it. Every task has a label, used once: what happened to it can be found in any record.

/** A chain. */
export type Program = readonly Unit[]

export type Unit = TaskUnit | GroupUnit | EachUnit | SleepUnit

export interface TaskUnit {
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
  /** None: no policy. */
  readonly retries?: number
  /** Whether the policy stands in the definition, or only where the task is bound. */
  readonly policy: 'used' | 'bound'
  /** How long it takes; 0: not even a promise. */
  readonly ms: number
  readonly queue?: string
  readonly priority?: number
}

export type Gives = 'one' | 'nothing' | 'several' | 'much' | 'list'

/** `hangs`: it never ends, and is given up after its `timeoutMs`. */
export type Failing = 'throws' | 'throws for good' | 'asks for time' | 'hangs'

export interface GroupUnit {
  readonly kind: 'group'
  readonly chains: readonly Program[]
  readonly returnExceptions: boolean
  readonly maxParallelism?: number
}

/** The same chain for each element of the upstream list. Its labels are used as often as there are elements. */
export interface EachUnit {
  readonly kind: 'each'
  readonly chain: Program
  readonly returnExceptions: boolean
  readonly maxParallelism?: number
}

export interface SleepUnit {
  readonly kind: 'sleep'
  readonly ms: number
}

/** The chains in a unit, as its definition has them. */
function chainsOf(unit: Unit): readonly Program[] {
  return unit.kind === 'group' ? unit.chains : unit.kind === 'each' ? [unit.chain] : []
}

/** Task entries of its definition: those of pipelines that its tasks return are not in it. */
export function taskCount(program: Program): number {
  let count = 0
  for (const unit of program) {
    if (unit.kind === 'task') count++
    for (const chain of chainsOf(unit)) count += taskCount(chain)
  }
  return count
}

/** All tasks of a program, those that are returned too. */
export function tasksOf(program: Program): TaskUnit[] {
  return program.flatMap((unit) =>
    unit.kind === 'task' ? [unit, ...tasksOf(unit.returns ?? [])] : chainsOf(unit).flatMap(tasksOf),
  )
}
