// What must be true of every recording, whatever went wrong in it. The numbers are those of the invariants that the project promises; where the others hold,
// CONTRIBUTING.md says:
//
// I1  every accepted run reaches exactly one end           I7  positions and times of a partition never go back, nor far ahead
// I2  an end never changes                                 I8  what is committed is delivered, and nothing else
// I3  a result is applied at most once                     I9  no task is lost: whatever should run has run
// I4  what follows a group starts once, after all of it    I11 no process runs more tasks at a time than it may
// I5  no commit of an older claim after one of a newer     I12 once nothing goes wrong any more, everything comes
// I6  commits of a partition have no gaps                  I13 what a client was told is stored is not lost
//
// and of what is done to pipelines from outside:
//
// C1  a pipeline is paused, goes on, and is cancelled only because somebody said so     C2  a command has effect once
// C3  nothing of a pipeline starts while it is paused                                   C4  nothing but what it does at its end, once it is cancelled
// C5  what its client was told of a command is so                                       C6  whatever happens, a task is called with what it should be
//
// R1  what is over stays until its time has come, or somebody deletes it                P1  what kills its process is given up, and nothing else is
// E4  what waits for an event goes on once one has come; more in boxes.ts               L1-L4  what is said of pipelines: event-log.ts
// H1-H3  what listeners wait for: sources.ts                                            N1-N4  what the members of a named subscription have: shared-events.ts
// W1-W3  what workers say of tasks: worker-events.ts
import { isDeepStrictEqual } from 'node:util'
import type { PipelineStatus } from '@tasks/core'
import {
  inAnyOrder,
  interpret,
  isLoose,
  partsOf,
  tasksOf,
  type Expected,
  type ExpectedGroup,
  type ListenUnit,
  type Outcome,
  type Program,
  type TaskUnit,
  type WaitUnit,
} from '@tasks/oracle'
import { LAST_WORKER } from './cluster'
import type { Entry } from './history'
import { RETRY_AFTER_MS, RETRY_MS, runNumber } from './pipelines'
import type { Answer, Recording, SubmitRecord } from './recording'
import { isKeptLoner, isMortal, type PipelineSpec } from './scenario'
import { sourceName } from './sources'
import { checkWorkerEvents } from './worker-events'

/** The invariants that a recording breaks, in words; none if all is well. */
export function check(recording: Recording): string[] {
  const { stuck, journal, scenario } = recording
  const broken = [...journal.broken]
  if (stuck !== undefined) return [...broken, /^[A-Z]\d+: /.test(stuck) ? stuck : `I12: ${stuck}`]
  if (recording.gaps > 0) broken.push('L4: a listener has missed something')
  for (const id of journal.log.invented) broken.push(`L4: event ${id} is heard, and nobody has said it`)
  for (const id of journal.shared.invented(journal.log.said))
    broken.push(`N2: event ${id} is handled, and nobody has said it`)
  broken.push(...journal.sources.left(journal))
  const mortal = new Set(scenario.pipelines.filter((one) => isMortal(scenario, one)).map(({ id }) => id))
  for (const [id, { given, obeyed, refused }] of recording.told) {
    const taken = journal.taken(id)
    if (mortal.has(id) || (taken >= obeyed && taken <= given - refused)) continue
    broken.push(`C5: of ${given} commands to ${id}, ${taken} were obeyed, not ${obeyed} to ${given - refused}`)
  }
  const runs = new Runs(recording)
  for (const pipeline of scenario.pipelines) broken.push(...checkPipeline(recording, pipeline, runs))
  broken.push(...checkStrangers(recording, runs))
  broken.push(...checkWorkerEvents(recording), ...checkLoners(recording), ...checkDeliveries(recording))
  return [...broken, ...checkPlaces(recording), ...checkLogs(recording)]
}

/** Of a calm cluster: by then whoever should have heard of something has. */
const SIGNAL_MS = 200

// ---- What ran -------------------------------------------------------------------------------------------------------

interface Attempt {
  readonly label: string
  readonly attempt: number
  readonly key: string
  readonly starts: number[]
  readonly ends: number[]
  /** What it was called with. */
  readonly saw: Set<string>
}

/** One run of a pipeline, as the functions of its tasks have seen it. */
class SeenRun {
  readonly run: string
  readonly number: number
  readonly attempts = new Map<string, Attempt>()
  readonly labels = new Set<string>()
  readonly keys = new Map<string, Set<string>>()

  constructor(run: string) {
    this.run = run
    this.number = runNumber(run)
  }

  of(label: string, attempt: number): Attempt | undefined {
    return this.attempts.get(`${label} ${attempt}`)
  }
}

class Runs {
  /** By pipeline, then by run. */
  readonly #seen = new Map<string, Map<string, SeenRun>>()
  /** When commands have become part of a pipeline's state. */
  readonly #commanded = new Map<string, number[]>()
  /** When events were sent first, by where to and their number; each with its id. */
  readonly #events = new Map<string, Map<string, number>>()
  /** When what sources have given was acknowledged first. */
  readonly #acknowledged = new Map<string, number>()

  constructor({ history }: Recording) {
    history.entries.forEach((entry, index) => this.#add(entry, index))
  }

  #add({ happening }: Entry, index: number): void {
    if (happening.what === 'commanded') mapIn(this.#commanded, happening.id, () => []).push(index)
    if (happening.what === 'event') {
      const { to, key, number, id } = happening
      const sent = mapIn(this.#events, `${to}/${key} ${number}`, () => new Map<string, number>())
      mapIn(sent, id, () => index)
    }
    if (happening.what === 'acknowledged') mapIn(this.#acknowledged, happening.of, () => index)
    if (happening.what !== 'started' && happening.what !== 'finished') return
    const { label, attempt, key } = happening
    const [id = '', run = ''] = key.split(':')
    const runs = mapIn(this.#seen, id, () => new Map<string, SeenRun>())
    const seen = mapIn(runs, run, () => new SeenRun(run))
    const found = mapIn(seen.attempts, `${label} ${attempt}`, () => {
      return { label, attempt, key, starts: [], ends: [], saw: new Set<string>() }
    })
    if (happening.what === 'started') found.saw.add(happening.saw)
    found[happening.what === 'started' ? 'starts' : 'ends'].push(index)
    seen.labels.add(label)
    mapIn(seen.keys, label, () => new Set<string>()).add(key)
  }

  of(id: string): ReadonlyMap<string, SeenRun> {
    return this.#seen.get(id) ?? new Map<string, SeenRun>()
  }

  /** Everything that ran, with the pipeline that it was part of. */
  *labels(): Generator<readonly [id: string, label: string]> {
    for (const [id, runs] of this.#seen)
      for (const { labels } of runs.values()) for (const label of labels) yield [id, label]
  }

  /** How many events had been sent by then that would have done for this wait. */
  eventsFor(id: string, { key, own, match = 0 }: WaitUnit, before: number): number {
    const sent = this.#events.get(`${own ? id : ''}/${key} ${match}`) ?? new Map<string, number>()
    return [...sent.values()].filter((index) => index < before).length
  }

  /** Whether what a listener was given had been acknowledged by then. */
  wasAcknowledged(id: string, { run }: SeenRun, { key, number }: ListenUnit, before: number): boolean {
    return (this.#acknowledged.get(`${sourceName(id, run, key)} ${number}`) ?? Infinity) < before
  }

  /** Whether somebody has told this pipeline something in between. */
  wasCommanded(id: string, after: number, before: number): boolean {
    return this.#commanded.get(id)?.some((index) => index > after && index < before) === true
  }
}

/** Nothing runs but what was submitted, where it was. */
function checkStrangers({ scenario }: Recording, runs: Runs): string[] {
  const broken: string[] = []
  const known = new Set(scenario.pipelines.map(({ id }) => id))
  for (const [id, label] of runs.labels())
    if (!known.has(id) && !label.startsWith('l'))
      broken.push(`I9: ${label} ran as part of ${id}, which nobody has submitted`)
  return broken
}

function mapIn<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}

// ---- Pipelines ------------------------------------------------------------------------------------------------------

/** What each run of a program must come to. */
class Runnable {
  readonly program: Program
  readonly #runs: Expected[] = []

  constructor(program: Program) {
    this.program = program
  }

  /** Undefined if it cannot come to that: one that has not failed is not retried. */
  run(number: number): Expected | undefined {
    const expected = (this.#runs[number] ??= interpret(this.program, number))
    return expected.run === number ? expected : undefined
  }

  /** If it has so many runs at most. */
  mayComeTo(answer: Answer | undefined, most: number): boolean {
    for (let number = 1; number <= most; number++) {
      const expected = this.run(number)
      if (expected !== undefined && isSame(this.program, answer, expected.outcome)) return true
    }
    return false
  }
}

function isSame(program: Program, answer: Answer | undefined, outcome: Outcome): boolean {
  return isLoose(program)
    ? isDeepStrictEqual(inAnyOrder(answer), inAnyOrder(outcome))
    : isDeepStrictEqual(answer, outcome)
}

function checkPipeline(recording: Recording, pipeline: PipelineSpec, runs: Runs): string[] {
  const { scenario, history, statuses, journal } = recording
  const { id } = pipeline
  const broken: string[] = []
  const records = recording.submits.filter((record) => record.pipeline === pipeline)
  const runnables = records.map(({ submit }) => new Runnable(submit.program))
  const status = statuses.get(id)
  const mayBeGone = isMortal(scenario, pipeline)
  if (status === undefined && !mayBeGone) return [`I13: ${id} was submitted and is not there`]
  const seen = runs.of(id)
  const wasCancelled = journal.cancelled(id)
  const retries = journal.retries(id)
  // What is cancelled before its time does at once what it does at its end.
  if (scenario.calm && !journal.cancelled(id)) broken.push(...checkDelay(recording, pipeline, seen))
  records.forEach((record, index) => {
    const runnable = runnables[index]!
    const may = record.attached ? runnables : [runnable]
    if (
      may.some((one) => one.mayComeTo(record.answer, retries + 1)) ||
      isRefusal(record, records, wasCancelled, mayBeGone)
    )
      return
    const expected = JSON.stringify(runnable.run(1)!.outcome)
    broken.push(`I1: ${id} came to ${JSON.stringify(record.answer)}, not ${expected}`)
  })

  if (status !== undefined) broken.push(...checkLast(recording, id, status, runnables, seen))
  for (const [run, one] of seen) {
    const index = runnables.findIndex((runnable) => {
      const expected = runnable.run(one.number)
      return expected !== undefined && [...one.labels].every((label) => expected.runs.has(label))
    })
    if (index < 0) {
      broken.push(`I9: ${[...one.labels].join()} ran in run ${one.number} of ${id}, and should not have`)
      continue
    }
    const runnable = runnables[index]!
    const expected = runnable.run(one.number)!
    // One that was cancelled, and at once took the place of another, is in no commit.
    const isCut = !journal.hasEndedByItself(run)
    broken.push(...checkCalls(one, expected, isCut), ...checkOrder(id, runs, one, expected, isCut))
    broken.push(...checkKills(one, expected, scenario.maxDeliveries))
    if (journal.wasCancelled(run)) {
      broken.push(...checkEnds(one, runnable.program, true))
      if (scenario.calm) broken.push(...checkGrace(recording, id, one, runnable.program))
    }
    if (scenario.calm) broken.push(...checkTimes(one, expected, history.entries, isCut))
  }
  return broken
}

/** What it says of itself, and that everything of the last run has run. */
function checkLast(
  { scenario }: Recording,
  id: string,
  status: PipelineStatus,
  runnables: readonly Runnable[],
  seen: ReadonlyMap<string, SeenRun>,
): string[] {
  // Which of the programs it was that ran last shows in what ran, if anything did.
  const number = runNumber(status.run)
  const last = seen.get(status.run) ?? new SeenRun(status.run)
  const isCancelled = status.status === 'CANCELLED'
  const candidates = runnables.flatMap((runnable) => {
    const expected = runnable.run(number)
    if (expected === undefined) return []
    const isKnown = (label: string): boolean => expected.runs.has(label)
    const fits =
      isCancelled || runnables.length === 1
        ? [...last.labels].every(isKnown)
        : last.labels.size === 0
          ? expected.runs.size === 0
          : [...last.labels].some(isKnown)
    return fits ? [expected] : []
  })
  if (candidates.length === 0) return [`I9: ${id} has ended, and what ran in its last run is of none of its programs`]
  if (isCancelled) return []
  const broken = candidates.map((expected) => [
    ...checkCounters(id, status, expected),
    ...checkAllRan(last, expected, scenario.calm),
  ])
  return broken.some((lines) => lines.length === 0) ? [] : broken[0]!
}

function checkCounters(id: string, status: PipelineStatus, expected: Expected): string[] {
  // Whether a race was won nobody can say.
  const lost = Math.min(expected.races, Math.max(0, status.attempts - expected.attempts))
  const missed = Math.min(expected.listenRaces, Math.max(0, status.tasks - expected.tasks - lost))
  const tasks = expected.tasks + lost + missed
  const done = expected.done + lost - missed
  const attempts = expected.attempts + lost
  const wanted = { status: 'failure' in expected.outcome ? 'FAILED' : 'COMPLETED', tasks, done, attempts }
  const counters = { status: status.status, tasks: status.tasks, done: status.done, attempts: status.attempts }
  if (isDeepStrictEqual(counters, wanted)) return []
  return [`I3: ${id} says ${JSON.stringify(counters)}, not ${JSON.stringify(wanted)}`]
}

/**
 * What kills its process is delivered as often as it may be, and once more if it was begun before its commit. While a dead process holds its lease it may be
 * sent again, which counts as one delivery of those that the new message may have.
 */
function checkKills(seen: SeenRun, { runs }: Expected, maxDeliveries = 0): string[] {
  return [...runs.values()].flatMap(({ unit: { label, how } }) => {
    const kills = how === 'kills' ? (seen.of(label, 1)?.starts.length ?? 0) : 0
    return kills > (maxDeliveries * (maxDeliveries + 1)) / 2 + 1 ? [`P1: ${label} has killed ${kills} processes`] : []
  })
}

/** Of several submits with one id, which is first is open; so are, within reason, their answers. */
function isRefusal(
  { answer, submit, tries }: SubmitRecord,
  all: readonly SubmitRecord[],
  wasCancelled: boolean,
  mayBeGone: boolean,
): boolean {
  if (!('refused' in answer!)) return false
  // By a restart, or by another try of the restart that it is.
  const isRestarted = all.some((other) => {
    const isOwn = other.submit === submit
    return other.submit.onDuplicate === 'restart' && (!isOwn || tries > 1)
  })
  switch (answer.refused) {
    case 'TASKS_CANCELLED':
      // It may have come, ended and gone within one commit.
      return wasCancelled || isRestarted || mayBeGone
    case 'TASKS_NOT_FOUND':
      return isRestarted || mayBeGone
    case 'TASKS_ID_EXISTS':
      return submit.onDuplicate === 'reject'
    case 'TASKS_ID_CONFLICT':
      return submit.onDuplicate === undefined && all.some((other) => other.submit.program !== submit.program)
    default:
      return false
  }
}

/** Nothing of a pipeline runs before its time. */
function checkDelay(
  { history }: Recording,
  { id, submits }: PipelineSpec,
  seen: ReadonlyMap<string, SeenRun>,
): string[] {
  const [{ atMs, delayMs = 0 } = { atMs: 0 }] = submits
  const starts = [...seen.values()].flatMap(({ attempts }) => [...attempts.values()].map((one) => one.starts[0]!))
  if (submits.length > 1 || starts.length === 0) return []
  const at = history.entries[Math.min(...starts)]!.at
  return at < atMs + delayMs - 1 ? [`${id} began at ${at}, not ${delayMs} ms after ${atMs}`] : []
}

/** What runs when a pipeline is cancelled is waited for, as long as was said. */
function checkGrace({ scenario, history }: Recording, id: string, seen: SeenRun, program: Program): string[] {
  const { end } = partsOf(program)
  const began = end && seen.of(end.label, 1)?.starts[0]
  if (began === undefined) return []
  const graces = (scenario.commands ?? []).filter((one) => one.id === id).map(({ graceMs = Infinity }) => graceMs)
  return [...seen.attempts.values()].flatMap(({ label, starts, ends }) => {
    const start = starts[0]!
    if (label === end!.label || start > began || (ends[0] ?? Infinity) < began) return []
    const waited = history.entries[began]!.at - history.entries[start]!.at
    // It may have started after the command was taken.
    return waited < Math.min(...graces) - SIGNAL_MS ? [`C4: ${label} was not waited for`] : []
  })
}

/** Whatever was in the way: what a task is called with is what it should be. What runs at the end of a cancelled run sees what there is by then. */
function checkCalls(seen: SeenRun, { runs }: Expected, isCut: boolean): string[] {
  const broken: string[] = []
  for (const { label, attempt, saw } of seen.attempts.values()) {
    const expected = runs.get(label)!
    if (attempt > expected.attempts) broken.push(`I9: ${label} had an attempt ${attempt}`)
    if (isCut && expected.unit.role === 'finally') continue
    for (const one of saw) {
      if (!expected.saw.has(one))
        broken.push(`C6: ${label} was called as ${one}, not as ${[...expected.saw].join(' or ')}`)
    }
  }
  return broken
}

/** What is to run at the end of a pipeline has run, that of every returned one too of which anything has. */
function checkEnds(seen: SeenRun, program: Program, isKnown: boolean): string[] {
  const broken: string[] = []
  const { chain, end } = partsOf(program)
  const mustEnd = isKnown || tasksOf(chain).some(({ label }) => seen.labels.has(label))
  if (end !== undefined && mustEnd && seen.of(end.label, 1) === undefined)
    broken.push(`C4: ${end.label} did not run at the end of what was cancelled`)
  for (const { returns } of tasksOf(chain)) if (returns !== undefined) broken.push(...checkEnds(seen, returns, false))
  return broken
}

function checkAllRan(seen: SeenRun, expected: Expected, calm: boolean): string[] {
  const broken: string[] = []
  for (const [label, { attempts, times }] of expected.runs) {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const ran = seen.of(label, attempt)?.starts.length ?? 0
      if (ran < times || (calm && ran > times))
        broken.push(`I9: attempt ${attempt} of ${label} ran ${ran} times, not ${times}`)
    }
  }
  for (const [label, keys] of seen.keys) {
    const times = expected.runs.get(label)?.times ?? 0
    if (keys.size > times) broken.push(`${label} had ${keys.size} idempotency keys, not ${times}`)
  }
  for (const label of seen.labels) if (!expected.runs.has(label)) broken.push(`I9: ${label} ran, and should not have`)
  return broken
}

/** Nobody sees how it ends. */
const endsUnseen = ({ how }: TaskUnit): boolean => how === 'hangs' || how === 'kills'

function checkOrder(id: string, all: Runs, seen: SeenRun, { runs }: Expected, isCut: boolean): string[] {
  const broken: string[] = []
  for (const [label, { unit, attempts, times, after, resumed, heard }] of runs) {
    // Of what runs for several elements, which is which cannot be told.
    if (times > 1) continue
    const started = seen.of(label, 1)?.starts[0]
    for (let attempt = 2; attempt <= attempts; attempt++) {
      const begun = seen.of(label, attempt)?.starts[0]
      const before = seen.of(label, attempt - 1)
      if (begun === undefined || endsUnseen(unit)) continue
      if (before === undefined || !(before.ends[0]! < begun))
        broken.push(`I3: attempt ${attempt} of ${label} began before the one before it had ended`)
    }
    if (started === undefined || (isCut && unit.role === 'finally')) continue
    let latest: number | undefined
    for (const earlier of after) {
      const before = runs.get(earlier)
      // It has ended in the run before this one.
      if (before === undefined || before.times > 1) continue
      if (endsUnseen(before.unit) && before.attempts <= before.unit.fails) continue
      const ended = seen.of(earlier, before.attempts)?.ends[0]
      if (ended === undefined || ended > started) broken.push(`I4: ${label} started before ${earlier} had ended`)
      else latest = Math.max(latest ?? 0, ended)
    }
    const waits = heard.filter((unit): unit is WaitUnit => unit.kind === 'wait')
    for (const unit of heard) {
      if (unit.kind === 'listen' && !all.wasAcknowledged(id, seen, unit, started))
        broken.push(`H3: ${label} started before ${unit.key} had heard that its event is safe`)
    }
    for (const wait of waits) {
      const wanted = waits.filter(({ key, own, match }) => key === wait.key && own === wait.own && match === wait.match)
      // One event of the namespace may be there for several.
      const least = wait.own ? wanted.length : 1
      if (all.eventsFor(id, wait, started) < least) broken.push(`E4: ${label} started before ${wait.key} had come`)
    }
    if (resumed && latest !== undefined && !all.wasCommanded(id, latest, started))
      broken.push(`C3: ${label} started without a resume`)
  }
  return broken
}

/** When nothing goes wrong: retries wait as long as they should, and groups keep to their measure. */
function checkTimes(seen: SeenRun, { runs, groups }: Expected, entries: readonly Entry[], isCut: boolean): string[] {
  const broken: string[] = []
  for (const [label, { unit, attempts, times, after, asleepMs }] of runs) {
    const first = seen.of(label, 1)?.starts[0]
    const ends = after.map((earlier) => seen.of(earlier, runs.get(earlier)?.attempts ?? 0)?.ends[0])
    const isDue = !isCut || unit.role !== 'finally'
    if (asleepMs > 0 && isDue && times === 1 && first !== undefined && ends.length > 0 && !ends.includes(undefined)) {
      const slept = entries[first]!.at - entries[Math.max(...(ends as number[]))]!.at
      if (slept < asleepMs - 1) broken.push(`${label} came after ${slept} ms, not ${asleepMs}`)
    }
    if (endsUnseen(unit) || times > 1) continue
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
  if (most === Infinity || chains.flat().some((label) => endsUnseen(runs.get(label)!.unit))) return []
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
  const programs = scenario.pipelines.flatMap(({ submits }) => submits.map(({ program }) => program))
  const killing = programs.flatMap(tasksOf).filter(({ how }) => how === 'kills')
  const expected = new Set(killing.map(({ label }) => `max-deliveries ${label}`))
  for (const { loner, expected: wanted, answer } of loners) {
    const [unit] = loner.program
    if (unit?.kind !== 'task') continue
    const { label } = unit
    const isKept = isKeptLoner(loner)
    if ('failure' in wanted.outcome && !isKept) expected.add(`failed ${label}`)
    if (!scenario.calm && !isKept) continue
    if (!isDeepStrictEqual(answer, wanted.outcome))
      broken.push(`I1: ${label} came to ${JSON.stringify(answer)}, not ${JSON.stringify(wanted.outcome)}`)
    if (!scenario.calm) continue
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

/** What hangs is given up, and its place is another's. */
function checkPlaces({ history, scenario }: Recording): string[] {
  const programs = [...scenario.pipelines.flatMap(({ submits }) => submits), ...scenario.loners]
  const hanging = new Set(
    programs.flatMap(({ program }) => tasksOf(program).flatMap(({ how, label }) => (how === 'hangs' ? [label] : []))),
  )
  const running = new Map<string, number>()
  for (const { who, happening } of history.entries) {
    if ((happening.what !== 'started' && happening.what !== 'finished') || hanging.has(happening.label)) continue
    const count = (running.get(who) ?? 0) + (happening.what === 'started' ? 1 : -1)
    running.set(who, count)
    const { concurrency } = scenario.workers[Number(/^w(\d+)/.exec(who)![1])] ?? LAST_WORKER
    if (count > concurrency) return [`I11: ${who} runs ${count} tasks at a time, and ${concurrency} may be`]
  }
  return []
}

/** What an engine calls an error in itself is one. */
function checkLogs({ history }: Recording): string[] {
  return history.entries.flatMap(({ happening }) =>
    happening.what === 'log' && happening.level === 'error' && !EXPECTED_LOGS.test(happening.text)
      ? [`an error was logged: ${happening.text}`]
      : [],
  )
}

const EXPECTED_LOGS = /^the clock has jumped ahead|was delivered \d+ times and never ended/
