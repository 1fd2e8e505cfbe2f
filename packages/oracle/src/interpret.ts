// The oracle: what a pipeline must come to, by plain recursion over it. No engine, no messages, no time. It is written from what is promised to users,
// and knows nothing of how an engine keeps it.
import { actOf } from './acting'
import type { Expected, ExpectedGroup, ExpectedRun } from './expected'
import { argumentsOf, MOST_CAUSES, NOTHING, resultOf, type Failed, type Given } from './given'
import {
  eventOf,
  isLimited,
  partsOf,
  taskCount,
  taskNameOf,
  type ChainUnit,
  type EachUnit,
  type Failing,
  type GroupUnit,
  type ListenUnit,
  type Program,
  type TaskUnit,
  type WaitUnit,
} from './program'
import { NO_STATE, over, seen, together, type State } from './state'

/** The last run if it is retried as long as it fails, so many runs in all. */
export function interpret(program: Program, runs = 1): Expected {
  const kept = new Kept()
  for (let run = new Run(1); ; run = new Run(run.number + 1, run)) {
    const ended = run.definition(program, comingAfter([]), NO_STATE, kept)
    if ('failure' in ended && run.number < runs) continue
    const { number, runs: ran, groups, tasks, done, attempts, races, listenRaces } = run
    const outcome = 'failure' in ended ? { failure: ended.failure } : { result: resultOf(ended.given) }
    return { run: number, outcome, runs: ran, groups, tasks, done, attempts, races, listenRaces }
  }
}

/** What is told of a failure beside its message: of those that carry none of the task's own, only this. */
const FAILURES: Partial<Record<Failing, string>> = {
  'throws for good': 'TASKS_NON_RETRYABLE',
  'asks for time': 'TASKS_RETRY_AFTER',
  hangs: 'TASKS_TIMEOUT',
  kills: 'TASKS_MAX_DELIVERIES',
}

/** The library's own, which looks at the list of a fan-out. */
const EACH_TASK = '@tasks/each'

/** Asks the source. */
const LISTENER = 'listen:source'

/** They are not tried again. */
const FINAL: readonly Failing[] = ['throws for good', 'kills']

/** What something comes after: these tasks, perhaps a resume, events, and sleeps of so many ms. */
interface Since {
  readonly last: readonly string[]
  readonly paused: boolean
  readonly heard: readonly (WaitUnit | ListenUnit)[]
  readonly ms: number
}

const since = ({ last, paused, heard, ms }: Since): Since => ({ last, paused, heard, ms })
const comingAfter = (last: readonly string[]): Since => ({ last, paused: false, heard: [], ms: 0 })

/** How something ended, and what it has changed of the state. */
type Ended = Since & { readonly state: State } & ({ readonly given: Given } | { readonly failure: Failed })

/** What a retry needs of a run that failed: of a chain where it failed and what came there, of what ended well the result. Its parts are below. */
class Kept {
  at = 0
  before: Ended | undefined
  ended: Ended | undefined
  /** The pipeline that a task has returned, and what the task has set. */
  returned: { readonly program: Program; readonly sets: State } | undefined
  /** Of a fan-out. */
  list: readonly unknown[] | undefined
  isKnown = false
  readonly #parts: Kept[] = []

  part(index: number): Kept {
    return (this.#parts[index] ??= new Kept())
  }
}

class Run {
  readonly runs = new Map<string, ExpectedRun>()
  readonly groups: ExpectedGroup[] = []
  readonly number: number
  tasks: number
  done: number
  attempts: number
  races: number
  listenRaces: number

  constructor(number: number, before?: Run) {
    this.number = number
    this.tasks = before?.tasks ?? 0
    this.done = before?.done ?? 0
    this.attempts = before?.attempts ?? 0
    this.races = before?.races ?? 0
    this.listenRaces = before?.listenRaces ?? 0
  }

  /**
   * The task at its end that is to run whatever happens takes nothing and gives nothing; but its failure takes the place of a success, and is told beside
   * another. Its state is its own unless it is inline: then what it has set counts if it ends well.
   */
  definition(program: Program, from: Since, outer: State, kept: Kept): Ended {
    const { begin, chain, end } = partsOf(program)
    if (!kept.isKnown) this.tasks += taskCount(program)
    kept.isKnown = true
    const below = begin?.inline ? outer : NO_STATE
    const given: Given = begin?.args === undefined ? NOTHING : { kind: 'several', values: begin.args }
    const initial: State = new Map(Object.entries(begin?.state ?? {}))
    let ended = this.chain(chain, { ...from, given, state: initial }, below, kept.part(0))
    if (end !== undefined) {
      const cleaned = this.task(end, NOTHING, ended, over(below, ended.state), new Kept())
      ended = { ...bothEnded(ended, cleaned), ...since(cleaned) }
    }
    return begin?.inline && !('failure' in ended) ? ended : { ...ended, state: NO_STATE }
  }

  /** Entries follow each other. What fails is followed by the next handler; without a failure handlers are passed over. */
  chain(chain: readonly ChainUnit[], begins: Ended, below: State, kept: Kept): Ended {
    if (kept.ended !== undefined) return kept.ended
    let ended = kept.before ?? begins
    for (let at = kept.at; at < chain.length; at++) {
      const unit = chain[at]!
      const handles = unit.kind === 'task' && unit.role === 'handler'
      if (handles !== 'failure' in ended) {
        if (handles) this.tasks--
        continue
      }
      kept.at = at
      kept.before = ended
      const input: Given = 'failure' in ended ? { kind: 'one', value: ended.failure } : ended.given
      const one = this.unit(unit, input, since(ended), over(below, ended.state), kept.part(at))
      ended = { ...one, paused: one.paused || unit.pauses === true, state: over(ended.state, one.state) }
    }
    if (!('failure' in ended)) kept.ended = ended
    return ended
  }

  unit(unit: ChainUnit, input: Given, from: Since, state: State, kept: Kept): Ended {
    switch (unit.kind) {
      case 'task':
        return this.task(unit, input, from, state, kept)
      case 'group':
        return this.group(unit, input, from, state, kept)
      case 'each':
        return this.each(unit, input, from, state, kept)
      case 'sleep':
        return { ...from, ms: from.ms + (unit.until ? 0 : unit.ms), given: input, state: NO_STATE }
      case 'wait':
        return this.wait(unit, from)
      case 'listen':
        return this.listen(unit, from, kept)
    }
  }

  /** Takes nothing from upstream. What comes in time and what takes its place are the same. */
  wait(unit: WaitUnit, from: Since): Ended {
    const { timeoutMs, raceMs } = unit
    if (timeoutMs !== undefined)
      return {
        ...from,
        ms: from.ms + timeoutMs,
        failure: { failed: 'TASKS_TIMEOUT', task: undefined, attempt: 0 },
        state: NO_STATE,
      }
    if (raceMs === undefined)
      return { ...from, heard: [...from.heard, unit], given: { kind: 'one', value: eventOf(unit) }, state: NO_STATE }
    this.tasks--
    this.races++
    return { ...from, given: { kind: 'one', value: [eventOf(unit)] }, state: NO_STATE }
  }

  /** Who waits for no longer than so long has that decided first; each run of the pipeline anew, in a pipeline that is returned to it. */
  listen(unit: ListenUnit, from: Since, kept: Kept): Ended {
    const { timeoutMs, raceMs, key, number, fails = 0 } = unit
    if (isLimited(unit)) {
      if (kept.isKnown) {
        this.tasks += 2
        this.done++
        this.attempts++
      }
      kept.isKnown = true
      this.done++
      this.attempts++
    }
    if (timeoutMs !== undefined) {
      this.attempts++
      const failure = { failed: 'TASKS_TIMEOUT', task: LISTENER, attempt: 1 }
      return { ...from, ms: from.ms + timeoutMs, failure, state: NO_STATE }
    }
    this.attempts += 2 + 2 * fails
    this.done += 2
    const value = eventOf({ key, match: number })
    if (raceMs === undefined)
      return { ...from, heard: [...from.heard, unit], given: { kind: 'one', value }, state: NO_STATE }
    this.tasks--
    this.listenRaces++
    return { ...from, given: { kind: 'one', value: [value] }, state: NO_STATE }
  }

  /** Attempts follow each other as long as one may be tried again. A returned pipeline's result is the task's. */
  task(unit: TaskUnit, upstream: Given, from: Since, state: State, kept: Kept): Ended {
    if (kept.returned !== undefined) return this.returned(from, state, kept)
    const mine = comingAfter([unit.label])
    const inputs = unit.open ? argumentsOf(upstream) : []
    const before = this.runs.get(unit.label)
    for (let attempt = 1; ; attempt++) {
      this.attempts++
      const act = actOf(unit, { inputs, attempt, run: this.number, state: seen(state) })
      const saw = new Set(before?.saw).add(act.saw)
      const times = (before?.times ?? 0) + 1
      const { last: after, paused: resumed, heard, ms: asleepMs } = from
      this.runs.set(unit.label, { unit, attempts: attempt, times, saw, after, resumed, heard, asleepMs })
      if (act.does === 'fails') {
        if (!FINAL.includes(act.how) && attempt <= (unit.retries ?? 0)) continue
        const failed = FAILURES[act.how] ?? act.message
        return { ...mine, failure: { failed, task: taskNameOf(unit), attempt }, state: NO_STATE }
      }
      this.done++
      if (act.does === 'gives') return { ...mine, given: act.given, state: act.sets }
      kept.returned = { program: act.program, sets: act.sets }
      return this.returned(mine, state, kept)
    }
  }

  /** What the task has set stays set, whatever becomes of its pipeline. */
  returned(from: Since, state: State, kept: Kept): Ended {
    const { program, sets } = kept.returned!
    const ended = this.definition(program, from, over(state, sets), kept.part(0))
    return { ...ended, state: over(sets, ended.state) }
  }

  /** Every chain gets what came from upstream, and all of them are waited for, whatever becomes of the others. */
  group(group: GroupUnit, given: Given, from: Since, state: State, kept: Kept): Ended {
    const labels: string[][] = []
    const ends = group.chains.map((chain, index) => {
      const before = new Set(this.runs.keys())
      const ended = this.chain(partsOf(chain).chain, { ...from, given, state: NO_STATE }, state, kept.part(index))
      labels.push([...this.runs.keys()].filter((label) => !before.has(label)))
      return ended
    })
    this.groups.push({ most: group.maxParallelism ?? Infinity, chains: labels })
    return joined(ends, group, from, kept)
  }

  /** The same, with a chain for each element. Somebody has to look at the list: that is an attempt, and no entry. */
  each(each: EachUnit, input: Given, from: Since, state: State, kept: Kept): Ended {
    const { chain } = partsOf(each.chain)
    if (kept.list === undefined) {
      this.attempts++
      const list = argumentsOf(input)[0]
      if (!Array.isArray(list)) {
        const failure = { failed: 'TASKS_ARGUMENTS', task: EACH_TASK, attempt: 1 }
        return { ...from, failure, state: NO_STATE }
      }
      kept.list = list
      this.tasks += (list.length - 1) * taskCount(each.chain)
    }
    const ends = kept.list.map((value, index) => {
      const given: Given = { kind: 'one', value }
      return this.chain(chain, { ...from, given, state: NO_STATE }, state, kept.part(index))
    })
    return joined(ends, each, from, kept)
  }
}

function bothEnded(ended: Ended, cleaned: Ended): Ended {
  if (!('failure' in cleaned)) return ended
  if (!('failure' in ended)) return cleaned
  const { failure } = ended
  return { ...ended, failure: { ...failure, suppressed: [...(failure.suppressed ?? []), cleaned.failure] } }
}

/** Chains have ended side by side. What failed has set nothing; if its failure is a value, it is done with. */
function joined(ends: readonly Ended[], how: GroupUnit | EachUnit, from: Since, kept: Kept): Ended {
  if (how.returnExceptions) ends.forEach((ended, index) => (kept.part(index).ended = ended))
  const last = [...new Set(ends.flatMap((ended) => ended.last))]
  const about = { ...(ends.length === 0 ? from : comingAfter(last)), state: NO_STATE }
  const failed = ends.flatMap((ended, index) => ('failure' in ended ? [{ ...ended.failure, index }] : []))
  if (failed.length > 0 && !how.returnExceptions)
    return { ...about, failure: { failed: failed.slice(0, MOST_CAUSES), count: failed.length } }
  const state = together(ends.map((ended) => ('failure' in ended ? NO_STATE : ended.state)))
  if (state === undefined) return { ...about, failure: { failed: 'TASKS_STATE_CONFLICT', task: undefined, attempt: 0 } }
  const value = ends.map((ended) => ('failure' in ended ? ended.failure : resultOf(ended.given)))
  return { ...about, given: { kind: 'one', value }, state }
}
