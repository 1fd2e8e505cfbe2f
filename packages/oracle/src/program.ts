// A program is a pipeline as plain data, with everything that its tasks will do written into them: so that what it must come to can be
// computed without running it. Every task has a label, used once: what happened to it can be found in any record.

/** A chain. */
export type Program = readonly Unit[]

export type Unit = TaskUnit | GroupUnit

export interface TaskUnit {
  readonly kind: 'task'
  readonly label: string
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

export type Gives = 'one' | 'nothing' | 'several' | 'much'

/** `hangs`: it never ends, and is given up after its `timeoutMs`. */
export type Failing = 'throws' | 'throws for good' | 'asks for time' | 'hangs'

export interface GroupUnit {
  readonly kind: 'group'
  readonly chains: readonly Program[]
  readonly returnExceptions: boolean
  readonly maxParallelism?: number
}

/** Task entries of its definition: those of pipelines that its tasks return are not in it. */
export function taskCount(program: Program): number {
  let count = 0
  for (const unit of program)
    count += unit.kind === 'task' ? 1 : unit.chains.reduce((sum, chain) => sum + taskCount(chain), 0)
  return count
}

/** All tasks of a program, those that are returned too. */
export function tasksOf(program: Program): TaskUnit[] {
  return program.flatMap((unit) =>
    unit.kind === 'task' ? [unit, ...tasksOf(unit.returns ?? [])] : unit.chains.flatMap(tasksOf),
  )
}
