// The oracle: what a pipeline must come to, by plain recursion over it. No engine, no messages, no time. It is written from what is promised to users,
// and knows nothing of how an engine keeps it.
import { actOf } from './acting'
import { argumentsOf, MOST_CAUSES, NOTHING, resultOf, type Failed, type Given } from './given'
import {
  taskCount,
  type EachUnit,
  type Failing,
  type GroupUnit,
  type Program,
  type TaskUnit,
  type Unit,
} from './program'

export interface Expected {
  readonly outcome: Outcome
  /** Every task that runs, by label. */
  readonly runs: ReadonlyMap<string, ExpectedRun>
  readonly groups: readonly ExpectedGroup[]
  /** Task entries, those of returned pipelines too, but no handler that had nothing to do. */
  readonly tasks: number
  /** Entries that end well. */
  readonly done: number
  /** Attempts that end, well or badly. */
  readonly attempts: number
}

export type Outcome = { readonly result: unknown } | { readonly failure: Failed }

export interface ExpectedRun {
  readonly unit: TaskUnit
  readonly attempts: number
  /** How often: once for each element that its chain is run for. */
  readonly times: number
  /** What has to have ended before it starts. */
  readonly after: readonly string[]
}

export interface ExpectedGroup {
  readonly most: number
  /** The tasks of each of its chains, in order. */
  readonly chains: readonly (readonly string[])[]
}

export function interpret(program: Program): Expected {
  const run = new Run()
  const ended = run.definition(program, [])
  const { runs, groups, tasks, done, attempts } = run
  return { outcome: outcomeOf(ended), runs, groups, tasks, done, attempts }
}

/** What is told of a failure beside its message: of those that carry none of the task's own, only this. */
const FAILURES: Partial<Record<Failing, string>> = {
  'throws for good': 'TASKS_NON_RETRYABLE',
  'asks for time': 'TASKS_RETRY_AFTER',
  hangs: 'TASKS_TIMEOUT',
}

/** How a chain ended, and with which tasks: whatever follows starts after them. */
type Ended = ({ readonly given: Given } | { readonly failure: Failed }) & { readonly last: readonly string[] }

class Run {
  readonly runs = new Map<string, ExpectedRun>()
  readonly groups: ExpectedGroup[] = []
  tasks = 0
  done = 0
  attempts = 0

  /** The task at its end that is to run whatever happens takes nothing and gives nothing; but its failure takes the place of a success. */
  definition(program: Program, after: readonly string[]): Ended {
    this.tasks += taskCount(program)
    const end = program.at(-1)
    if (end?.kind !== 'task' || end.role !== 'finally') return this.chain(program, NOTHING, after)
    const ended = this.chain(program.slice(0, -1), NOTHING, after)
    const cleaned = this.task(end, NOTHING, ended.last)
    return 'failure' in cleaned && !('failure' in ended) ? cleaned : { ...ended, last: cleaned.last }
  }

  /** Entries follow each other. What fails is followed by the next handler; without a failure handlers are passed over. */
  chain(program: Program, input: Given, after: readonly string[]): Ended {
    let ended: Ended = { given: input, last: after }
    for (const unit of program) {
      const handles = unit.kind === 'task' && unit.role === 'handler'
      if ('failure' in ended) {
        if (handles) ended = this.task(unit, { kind: 'one', value: ended.failure }, ended.last)
      } else if (handles) this.tasks--
      else ended = this.unit(unit, ended.given, ended.last)
    }
    return ended
  }

  unit(unit: Unit, input: Given, after: readonly string[]): Ended {
    switch (unit.kind) {
      case 'task':
        return this.task(unit, input, after)
      case 'group':
        return this.group(unit, input, after)
      case 'each':
        return this.each(unit, input, after)
      case 'sleep':
        return { given: input, last: after }
    }
  }

  /** Attempts follow each other as long as one may be tried again. A returned pipeline's result is the task's. */
  task(unit: TaskUnit, upstream: Given, after: readonly string[]): Ended {
    const inputs = unit.open ? argumentsOf(upstream) : []
    for (let attempt = 1; ; attempt++) {
      this.attempts++
      const times = (this.runs.get(unit.label)?.times ?? 0) + (attempt === 1 ? 1 : 0)
      this.runs.set(unit.label, { unit, attempts: attempt, times, after })
      const act = actOf(unit, inputs, attempt)
      const last = [unit.label]
      if (act.does === 'fails') {
        if (act.how !== 'throws for good' && attempt <= (unit.retries ?? 0)) continue
        return { failure: { failed: FAILURES[act.how] ?? act.message, attempt }, last }
      }
      this.done++
      return act.does === 'gives' ? { given: act.given, last } : this.definition(act.program, last)
    }
  }

  /** Every chain gets what came from upstream, and all of them are waited for, whatever becomes of the others. */
  group({ chains, returnExceptions, maxParallelism }: GroupUnit, input: Given, after: readonly string[]): Ended {
    const labels: string[][] = []
    const ends = chains.map((chain) => {
      const before = new Set(this.runs.keys())
      const ended = this.chain(chain, input, after)
      labels.push([...this.runs.keys()].filter((label) => !before.has(label)))
      return ended
    })
    this.groups.push({ most: maxParallelism ?? Infinity, chains: labels })
    return joined(ends, returnExceptions, after)
  }

  /** The same, with a chain for each element. Somebody has to look at the list: that is an attempt, and no entry. */
  each({ chain, returnExceptions }: EachUnit, input: Given, after: readonly string[]): Ended {
    this.attempts++
    const list = argumentsOf(input)[0]
    if (!Array.isArray(list)) return { failure: { failed: 'TASKS_ARGUMENTS', attempt: 1 }, last: after }
    this.tasks += (list.length - 1) * taskCount(chain)
    // What no task takes up at once is brought by one, which counts.
    const brought = chain[0]?.kind === 'task' ? 0 : list.length
    this.tasks += brought
    this.done += brought
    this.attempts += brought
    const ends = list.map((value: unknown) => this.chain(chain, { kind: 'one', value }, after))
    return joined(ends, returnExceptions, after)
  }
}

function joined(ends: readonly Ended[], returnExceptions: boolean, after: readonly string[]): Ended {
  const last = ends.length === 0 ? after : [...new Set(ends.flatMap((ended) => ended.last))]
  const failed = ends.flatMap((ended) => ('failure' in ended ? [ended.failure] : []))
  if (failed.length > 0 && !returnExceptions)
    return { failure: { failed: failed.slice(0, MOST_CAUSES), count: failed.length }, last }
  const value = ends.map((ended) => ('failure' in ended ? ended.failure : resultOf(ended.given)))
  return { given: { kind: 'one', value }, last }
}

function outcomeOf(ended: Ended): Outcome {
  return 'failure' in ended ? { failure: ended.failure } : { result: resultOf(ended.given) }
}
