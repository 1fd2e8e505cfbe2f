// What must be true of every recording, whatever went wrong in it. The numbers are those of the invariants that the project promises:
//
// I1  every accepted run reaches exactly one end           I7  positions and times of a partition never go back
// I2  an end never changes                                 I8  what was not committed is never delivered
// I3  a result is applied at most once                     I9  no task is lost: whatever should run has run
// I4  what follows a group starts once, after all of it    I12 once nothing goes wrong any more, everything comes
// I5  no commit of an older claim after one of a newer     I13 what a client was told is stored is not lost
// I6  commits of a partition have no gaps
import { isDeepStrictEqual } from 'node:util'
import { interpret, type Expected, type ExpectedGroup } from '@tasks/oracle'
import type { Recording, SubmitRecord } from './cluster'
import type { Entry } from './history'
import { RETRY_AFTER_MS, RETRY_MS } from './pipelines'
import type { PipelineSpec } from './scenario'

/** The invariants that a recording breaks, in words; none if all is well. */
export function check(recording: Recording): string[] {
  const { stuck, journal, scenario } = recording
  const broken = [...journal.broken]
  if (stuck !== undefined) return [...broken, `I12: ${stuck}`]
  const runs = new Runs(recording)
  for (const pipeline of scenario.pipelines) broken.push(...checkPipeline(recording, pipeline, runs))
  return [...broken, ...checkLoners(recording), ...checkDeliveries(recording), ...checkLogs(recording)]
}

// ---- What ran -------------------------------------------------------------------------------------------------------

interface Attempt {
  readonly label: string
  readonly attempt: number
  readonly key: string
  readonly starts: number[]
  readonly ends: number[]
}

/** One run of a pipeline, as the functions of its tasks have seen it. */
class SeenRun {
  readonly attempts = new Map<string, Attempt>()
  readonly labels = new Set<string>()
  readonly keys = new Map<string, Set<string>>()

  of(label: string, attempt: number): Attempt | undefined {
    return this.attempts.get(`${label} ${attempt}`)
  }
}

class Runs {
  /** By pipeline, then by run. */
  readonly #seen = new Map<string, Map<string, SeenRun>>()
  constructor({ history }: Recording) {
    history.entries.forEach((entry, index) => this.#add(entry, index))
  }

  #add({ happening }: Entry, index: number): void {
    if (happening.what !== 'started' && happening.what !== 'finished') return
    const { label, attempt, key } = happening
    const [id = '', run = ''] = key.split(':')
    const runs = mapIn(this.#seen, id, () => new Map<string, SeenRun>())
    const seen = mapIn(runs, run, () => new SeenRun())
    const found = mapIn(seen.attempts, `${label} ${attempt}`, () => ({ label, attempt, key, starts: [], ends: [] }))
    found[happening.what === 'started' ? 'starts' : 'ends'].push(index)
    seen.labels.add(label)
    mapIn(seen.keys, label, () => new Set<string>()).add(key)
  }

  of(id: string): ReadonlyMap<string, SeenRun> {
    return this.#seen.get(id) ?? new Map<string, SeenRun>()
  }
}

function mapIn<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}

// ---- Pipelines ------------------------------------------------------------------------------------------------------

function checkPipeline(recording: Recording, pipeline: PipelineSpec, runs: Runs): string[] {
  const { scenario, history, statuses } = recording
  const { id } = pipeline
  const broken: string[] = []
  const records = recording.submits.filter((record) => record.pipeline === pipeline)
  const expectations = records.map(({ submit }) => interpret(submit.program))
  const status = statuses.get(id)
  if (status === undefined) return [`I13: ${id} was submitted and is not there`]
  records.forEach((record, index) => {
    if (!isAnswerTo(record, records, expectations, index))
      broken.push(
        `I1: ${id} came to ${JSON.stringify(record.answer)}, not ${JSON.stringify(expectations[index]!.outcome)}`,
      )
  })

  // Which of the programs it was that ran last shows in what ran.
  const seen = runs.of(id)
  const last = seen.get(status.run) ?? new SeenRun()
  const final =
    expectations.length === 1
      ? expectations[0]!
      : (expectations.find((expected) => [...last.labels].some((label) => expected.runs.has(label))) ??
        expectations.find((expected) => expected.runs.size === 0))
  if (final === undefined) return [...broken, `I9: ${id} has ended, and nothing of its last run has run`]
  const ended = 'failure' in final.outcome ? 'FAILED' : 'COMPLETED'
  const { tasks, done, attempts } = final
  const counters = { status: status.status, tasks: status.tasks, done: status.done, attempts: status.attempts }
  if (!isDeepStrictEqual(counters, { status: ended, tasks, done, attempts }))
    broken.push(
      `I3: ${id} says ${JSON.stringify(counters)}, not ${JSON.stringify({ status: ended, tasks, done, attempts })}`,
    )
  broken.push(...checkAllRan(last, final, scenario.calm))
  for (const run of seen.values()) {
    const expected = expectations.filter((one) => [...run.labels].every((label) => one.runs.has(label)))
    if (expected.length === 0) broken.push(`I9: ${[...run.labels].join()} ran in one run of ${id}, and should not have`)
    else broken.push(...checkOrder(run, expected[0]!))
    if (scenario.calm) for (const one of expected.slice(0, 1)) broken.push(...checkTimes(run, one, history.entries))
  }
  return broken
}

/** Of several submits with one id, which is first is open; so are, within reason, their answers. */
function isAnswerTo(
  record: SubmitRecord,
  all: readonly SubmitRecord[],
  expectations: readonly Expected[],
  index: number,
): boolean {
  const { answer, submit } = record
  const isOwn = isDeepStrictEqual(answer, expectations[index]!.outcome)
  if (all.length === 1) return isOwn
  const restarts = all.filter((other) => other.submit.onDuplicate === 'restart')
  if (isOwn) return true
  if (!('refused' in answer!)) return false
  switch (answer.refused) {
    case 'TASKS_CANCELLED':
    case 'TASKS_NOT_FOUND':
      // By a restart, or by another try of the restart that it is.
      return restarts.some((restart) => restart !== record || restart.tries > 1)
    case 'TASKS_ID_EXISTS':
      return submit.onDuplicate === 'reject'
    case 'TASKS_ID_CONFLICT':
      return submit.onDuplicate === undefined && all.some((other) => other.submit.program !== submit.program)
    default:
      return false
  }
}

function checkAllRan(seen: SeenRun, expected: Expected, calm: boolean): string[] {
  const broken: string[] = []
  for (const [label, { attempts, times }] of expected.runs) {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const ran = seen.of(label, attempt)?.starts.length ?? 0
      if (ran < times || (calm && ran > times))
        broken.push(`I9: attempt ${attempt} of ${label} ran ${ran} times, not ${times}`)
    }
    if (seen.of(label, attempts + 1) !== undefined) broken.push(`I9: ${label} had an attempt ${attempts + 1}`)
  }
  for (const [label, keys] of seen.keys) {
    const times = expected.runs.get(label)?.times ?? 0
    if (keys.size > times) broken.push(`${label} had ${keys.size} idempotency keys, not ${times}`)
  }
  for (const label of seen.labels) if (!expected.runs.has(label)) broken.push(`I9: ${label} ran, and should not have`)
  return broken
}

function checkOrder(seen: SeenRun, { runs }: Expected): string[] {
  const broken: string[] = []
  for (const [label, { unit, attempts, times, after }] of runs) {
    // Of what runs for several elements, which is which cannot be told.
    if (times > 1) continue
    const started = seen.of(label, 1)?.starts[0]
    for (let attempt = 2; attempt <= attempts; attempt++) {
      const begun = seen.of(label, attempt)?.starts[0]
      const before = seen.of(label, attempt - 1)
      if (begun === undefined || unit.how === 'hangs') continue
      if (before === undefined || !(before.ends[0]! < begun))
        broken.push(`I3: attempt ${attempt} of ${label} began before the one before it had ended`)
    }
    if (started === undefined) continue
    for (const earlier of after) {
      const { unit: one, attempts: last, times: often } = runs.get(earlier)!
      if (often > 1) continue
      if (one.how === 'hangs' && last <= one.fails) continue
      const ended = seen.of(earlier, last)?.ends[0]
      if (ended === undefined || ended > started) broken.push(`I4: ${label} started before ${earlier} had ended`)
    }
  }
  return broken
}

/** When nothing goes wrong: retries wait as long as they should, and groups keep to their measure. */
function checkTimes(seen: SeenRun, { runs, groups }: Expected, entries: readonly Entry[]): string[] {
  const broken: string[] = []
  for (const [label, { unit, attempts, times }] of runs) {
    if (unit.how === 'hangs' || times > 1) continue
    for (let attempt = 2; attempt <= attempts; attempt++) {
      const ended = seen.of(label, attempt - 1)?.ends[0]
      const began = seen.of(label, attempt)?.starts[0]
      if (ended === undefined || began === undefined) continue
      const least = unit.how === 'asks for time' ? RETRY_AFTER_MS : RETRY_MS * 2 ** (attempt - 2)
      const waited = entries[began]!.at - entries[ended]!.at
      // A partition counts in whole milliseconds.
      if (waited < least - 1) broken.push(`attempt ${attempt} of ${label} came after ${waited} ms, not ${least}`)
    }
  }
  for (const group of groups) broken.push(...checkParallelism(seen, group, runs))
  return broken
}

function checkParallelism(seen: SeenRun, { most, chains }: ExpectedGroup, runs: Expected['runs']): string[] {
  if (most === Infinity || chains.flat().some((label) => runs.get(label)!.unit.how === 'hangs')) return []
  const edges: [at: number, by: 1 | -1][] = []
  for (const labels of chains) {
    const attempts = labels.flatMap((label) => [...seen.attempts.values()].filter((one) => one.label === label))
    const starts = attempts.flatMap(({ starts: all }) => all)
    const ends = attempts.flatMap(({ ends: all }) => all)
    if (starts.length > 0) edges.push([Math.min(...starts), 1], [Math.max(...ends), -1])
  }
  let inFlight = 0
  for (const [, by] of edges.sort(([a], [b]) => a - b)) {
    inFlight += by
    if (inFlight > most) return [`${inFlight} chains of a group were in flight, and ${most} may be`]
  }
  return []
}

// ---- The rest -------------------------------------------------------------------------------------------------------

function checkLoners({ loners, letters, scenario, history }: Recording): string[] {
  const broken: string[] = []
  const expected = new Set<string>()
  for (const { loner, expected: wanted, answer } of loners) {
    const [unit] = loner.program
    if (unit?.kind !== 'task') continue
    const { label } = unit
    if ('failure' in wanted.outcome) expected.add(`failed ${label}`)
    if (!scenario.calm) continue
    if (!isDeepStrictEqual(answer, wanted.outcome))
      broken.push(`I1: ${label} came to ${JSON.stringify(answer)}, not ${JSON.stringify(wanted.outcome)}`)
    const runs = history.entries.filter(({ happening }) => happening.what === 'started' && happening.label === label)
    if (runs.length !== wanted.attempts) broken.push(`I9: ${label} ran ${runs.length} times, not ${wanted.attempts}`)
  }
  for (const letter of new Set(letters)) if (!expected.has(letter)) broken.push(`an unexpected dead letter: ${letter}`)
  if (scenario.calm && letters.length > expected.size) broken.push(`dead letters come twice: ${letters.join()}`)
  return broken
}

/** Ids of what owners send name the commit that sent it. */
const SENT = /^(\d+-\w+\.\d+)\.\d+$/

function checkDeliveries({ history, journal }: Recording): string[] {
  const broken: string[] = []
  for (const { happening } of history.entries) {
    if (happening.what !== 'received') continue
    const commit = SENT.exec(happening.id)?.[1]
    if (commit !== undefined && !journal.applied.has(commit)) broken.push(`I8: ${happening.id} was never committed`)
  }
  return broken
}

/** What an engine calls an error in itself is one. */
function checkLogs({ history }: Recording): string[] {
  return history.entries.flatMap(({ happening }) =>
    happening.what === 'log' && happening.level === 'error' && !EXPECTED_LOGS.test(happening.text)
      ? [`an error was logged: ${happening.text}`]
      : [],
  )
}

const EXPECTED_LOGS = /^the clock has jumped ahead/
