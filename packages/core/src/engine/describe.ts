// A pipeline as it stands, entry by entry: its definition beside what its rows say of each. Bounded, however large the pipeline is: of a group some
// chains are told, and how many are not.
//
// Of what has ended well its own entries are told, and nothing of what was below them: those rows are gone.
import { describeError, type DescribedError } from '../described-error'
import {
  childChain,
  isEach,
  isEvent,
  isGroup,
  isHandler,
  isTask,
  isValue,
  type Chain,
  type Definition,
  type Entry,
  type GroupEntry,
  type Step,
  type TaskEntry,
} from '../definition'
import { TaskError } from '../errors'
import { fromFailure } from '../failure'
import { isFailure, NONE } from '../value'
import type { DescribeQuestion } from '../wire/inbox-message'
import { forEachRow, type Draft, type RunView } from './draft'
import { failuresOf, type FailuresPage, type GroupFailure } from './group-failures'
import { viewGroup } from './groups'
import { childPath, entryPath, framePath, hopPath, ROOT } from './paths'
import { entriesOf, finallyOf, groupAt, pathAt, placeOf, readChain, type Place } from './places'
import { refusalFor, statusOf, type PipelineStatus } from './queries'
import { pipelineKey } from './row-keys'
import { looking, type RowSource } from './row-source'
import { readTrail, type Passed } from './trail'
import {
  CHUNK,
  firstStep,
  hasBit,
  type Caught,
  type ChainRow,
  type ChunkRow,
  type GroupRow,
  type KeptTree,
  type PipelineRow,
} from './rows'

/**
 * `pending`: not come to yet. `waiting`: for its time, or a retry. `running`: with workers, or what is below it runs. `held`: due, and the pipeline
 * is paused, or being cancelled. `skipped`: passed over, because an entry before it failed, or, as a handler, because none did. `cancelled`: at hand when the
 * pipeline was cancelled.
 */
export type EntryState = 'pending' | 'waiting' | 'running' | 'held' | 'done' | 'skipped' | 'failed' | 'cancelled'

export interface EntryDescription {
  /** The id of the pipeline that was submitted, and the entry's path: `taskContext().taskId`. */
  readonly taskId: string
  readonly kind: 'task' | 'handler' | 'finally' | 'group' | 'each' | 'value' | 'sleep' | 'event'
  /** Its display name, or that of its task; what it is, if it is no task. */
  readonly name: string
  readonly state: EntryState
  /** Of an entry that has begun: which attempt is the current one, or was the last. */
  readonly attempt?: number
  /** Since when it is in its state, in ms since the epoch, if that is known. */
  readonly since?: number
  /** Of one that has ended: how long it took from when it was due, with its retries and what it had to wait for. */
  readonly tookMs?: number
  readonly error?: DescribedError
  /** What its task has said of itself with `taskContext().progress()`. */
  readonly progress?: { readonly fraction: number; readonly note: string }
  /** How long it sleeps, in ms, or until when. */
  readonly sleepMs?: number
  readonly sleepUntil?: number
  /** The pipeline is paused when it has ended. */
  readonly pauses?: true
  /** Of a group. */
  readonly group?: GroupDescription
  /** The pipeline that its task has returned, while that runs or if it failed. */
  readonly returned?: ChainDescription
}

export interface GroupDescription {
  readonly size: number
  readonly started: number
  readonly ended: number
  readonly failed: number
  readonly maxParallelism?: number
  /** Some of its chains, in their order: first those that run, then those that failed. */
  readonly chains: readonly ChainDescription[]
}

export interface ChainDescription {
  /** Which chain of its group. */
  readonly index?: number
  /** Of the pipeline that was submitted, or of one that a task has returned: `taskContext().pipelineId`. */
  readonly pipelineId?: string
  readonly state: EntryState
  /** How often its last entry has gone on to another pipeline: the entries are those of the latest. */
  readonly hops?: number
  /** None of a chain that has ended well. */
  readonly entries: readonly EntryDescription[]
  /** Entries that are left out before and after these. */
  readonly hidden?: readonly [before: number, after: number]
  readonly finally?: EntryDescription
  readonly error?: DescribedError
}

export interface PipelineDescription extends PipelineStatus {
  /** Of a run that has ended well, or was cancelled: only its own entries, as far as its owner has kept them (`treeBytes`). */
  readonly chain?: ChainDescription
  readonly error?: DescribedError
  /** If asked for by `failuresAfter`. */
  readonly failures?: FailuresPage
}

const MOST_FAILURES = 100
/** Failures of a group that are looked for to be told with their chains. */
const FEW_FAILURES = 20
/** Chunks of a group that are searched for chains that run, at a time. */
const CHUNKS = 32
/** The most that all entries together may take, about, in bytes. */
const MOST_BYTES = 256 << 10
const MOST_NAME = 200
const ENTRY_BYTES = 120

export async function describePipeline(
  source: RowSource,
  question: DescribeQuestion,
  mostBytes: number,
): Promise<PipelineDescription | null> {
  const most = Math.min(MOST_BYTES, mostBytes / 2)
  const failed = new Map<string, readonly GroupFailure[]>()
  for (;;) {
    const { description, wanted, of } = await looking(source, (draft) => describe(draft, question, failed, most))
    if (description === null) return null
    if (wanted.length === 0) {
      if (question.failuresAfter === undefined) return description
      if (of === undefined) throw new TaskError('TASKS_NOT_FOUND', `"${question.id}" has no such group of chains now`)
      const { path, row, run } = of
      const page = await failuresOf(source, run.keys, path, row, question.failuresAfter, MOST_FAILURES, most)
      return { ...description, failures: { taskId: question.id + path, ...page } }
    }
    for (const { run, path, row } of wanted) {
      const { errors } = await failuresOf(source, run.keys, path, row, -1, FEW_FAILURES, most / 4)
      failed.set(path, errors)
    }
  }
}

interface FoundGroup {
  readonly run: RunView
  readonly path: string
  readonly row: GroupRow
}

interface Told {
  readonly description: PipelineDescription | null
  /** Groups whose failures are to be read before it can be told whole. */
  readonly wanted: readonly FoundGroup[]
  /** The group whose failures were asked for. */
  readonly of: FoundGroup | undefined
}

function describe(
  draft: Draft,
  question: DescribeQuestion,
  failed: ReadonlyMap<string, readonly GroupFailure[]>,
  mostBytes: number,
): Told {
  const row = draft.get<PipelineRow>(pipelineKey(question.id))
  const status = statusOf(row)
  if (row === undefined || status === null) return { description: null, wanted: [], of: undefined }
  const refusal = refusalFor(row, question)
  if (refusal !== undefined) throw fromFailure(refusal)
  const run = draft.run(question.id)!
  const description = new Description(draft, run, question, failed, mostBytes)
  const error = isFailure(row.outcome) ? describeError(row.outcome) : undefined
  const chain =
    row.chain !== undefined
      ? description.chain(placeOf(ROOT), row.chain, error)
      : row.tree && describeKept(row, row.tree, question.maxEntries)
  return {
    description: {
      ...status,
      ...(chain === undefined ? {} : { chain }),
      ...(error === undefined ? {} : { error }),
    },
    wanted: description.wanted,
    of: question.failuresAfter === undefined ? undefined : description.groupAskedFor(),
  }
}

class Description {
  readonly wanted: FoundGroup[] = []
  readonly #draft: Draft
  readonly #run: RunView
  readonly #question: DescribeQuestion
  readonly #failed: ReadonlyMap<string, readonly GroupFailure[]>
  /** How many bytes may still be told, about. */
  #left: number

  constructor(
    draft: Draft,
    run: RunView,
    question: DescribeQuestion,
    failed: ReadonlyMap<string, readonly GroupFailure[]>,
    mostBytes: number,
  ) {
    this.#draft = draft
    this.#run = run
    this.#question = question
    this.#failed = failed
    this.#left = mostBytes
  }

  /** The group that was named, or else the one whose failure was that of the run. */
  groupAskedFor(): FoundGroup | undefined {
    const { id, failuresOf } = this.#question
    const path = failuresOf === undefined ? this.#failedGroup() : failuresOf.slice(id.length)
    const row = path === undefined ? undefined : viewGroup(this.#draft, this.#run, path).row
    return row === undefined ? undefined : { run: this.#run, path: path!, row }
  }

  #failedGroup(): string | undefined {
    let place = placeOf(ROOT)
    for (let row = this.#run.row.chain; row !== undefined; row = readChain(this.#draft, this.#run, place)) {
      const path = pathAt(place, row)
      if (row.phase === 'group') return path
      if (row.phase !== 'frame') return undefined
      place = placeOf(framePath(path))
    }
    return undefined
  }

  // ---- Chains -------------------------------------------------------------------------------------------------------

  /** A chain that runs, or has failed with this. */
  chain(place: Place, row: ChainRow, failure: DescribedError | undefined): ChainDescription {
    const { definition, entries } = entriesOf(this.#draft, this.#run, place, row.hop)
    const at = row.saved?.at ?? row.at
    const path = hopPath(place.base, row.hop)
    const passed = readTrail(row.trail, place.parent.kind === 'root' ? 0 : undefined)
    // While its finally runs it has failed already.
    const saved = row.saved !== undefined && isFailure(row.saved.value) ? describeError(row.saved.value) : undefined
    // What failed may be the finally alone.
    const ofFinally = row.saved !== undefined && saved === undefined ? failure : undefined
    const error = ofFinally === undefined ? (failure ?? saved) : undefined
    const last = finallyOf(place, row.hop, { definition })
    return {
      ...(place.parent.kind === 'group' && row.hop === 0 ? {} : { pipelineId: this.#run.row.id + path }),
      state: failure === undefined ? stateOf(row) : 'failed',
      ...(row.hop === 0 ? {} : { hops: row.hop }),
      ...this.#entries(entries, at, (entry, index) =>
        this.#entry(definition, entry, entryPath(path, index), {
          state: entryState(definition, entry, index, row, error !== undefined),
          ...(index === at ? { row, error } : { passed: passed.get(index) }),
        }),
      ),
      ...(last !== undefined
        ? { finally: this.#finally(definition, last, path, entries, row, failure !== undefined, ofFinally) }
        : {}),
    }
  }

  /** A chain that has not begun. */
  #pendingChain(definition: Definition, entries: Chain, path: string): ChainDescription {
    return {
      state: 'pending',
      ...this.#entries(entries, 0, (entry, index) =>
        this.#entry(definition, entry, entryPath(path, index), { state: 'pending' }),
      ),
    }
  }

  /** Those around the one at hand, as many as there is room for. */
  #entries(
    entries: Chain,
    at: number,
    describe: (entry: Entry, index: number) => EntryDescription,
  ): Pick<ChainDescription, 'entries' | 'hidden'> {
    const { maxEntries } = this.#question
    const from = Math.max(0, Math.min(at - (maxEntries >> 1), entries.length - maxEntries))
    const told: EntryDescription[] = []
    for (let index = from; index < Math.min(entries.length, from + maxEntries) && this.#left > 0; index++)
      told.push(describe(entries[index]!, index))
    const after = entries.length - from - told.length
    return { entries: told, ...(from === 0 && after === 0 ? {} : { hidden: [from, after] }) }
  }

  #finally(
    definition: Definition,
    last: TaskEntry,
    path: string,
    entries: Chain,
    row: ChainRow,
    isOver: boolean,
    error: DescribedError | undefined,
  ): EntryDescription {
    const isRunning = row.saved !== undefined
    return this.#entry(definition, last, entryPath(path, entries.length), {
      kind: 'finally',
      state: isRunning ? stateOf(row) : isOver ? 'done' : 'pending',
      error,
      ...(isRunning ? { row: { ...row, saved: undefined } } : {}),
    })
  }

  // ---- Entries ------------------------------------------------------------------------------------------------------

  #entry(definition: Definition, entry: Entry, path: string, known: Known): EntryDescription {
    const { kind, state, row, error, passed } = known
    const { row: pipeline } = this.#run
    const taskId = pipeline.id + path
    const what = describeKind(definition, entry)
    this.#left -= ENTRY_BYTES + taskId.length + what.name.length
    if (error !== undefined) this.#left -= error.message.length + (error.stack?.length ?? 0)
    const isAt = row !== undefined && row.saved === undefined
    const note = pipeline.notes?.[path]
    const isFrame = (row?.saved?.phase ?? row?.phase) === 'frame'
    return {
      taskId,
      ...what,
      ...(kind === undefined ? {} : { kind }),
      state,
      ...(isAt && (isTask(entry) || isEach(entry)) ? { attempt: row.attempt } : {}),
      ...(isAt && row.since >= 0 ? { since: pipeline.createdAt + row.since } : {}),
      ...(passed === undefined ? {} : passedFacts(passed, pipeline.createdAt, isTask(entry) || isEach(entry))),
      ...(error === undefined ? {} : { error }),
      ...(note === undefined ? {} : { progress: { fraction: note[0], note: note[1] } }),
      ...(isGroup(entry) && state !== 'done' && state !== 'skipped'
        ? { group: this.#group(definition, entry, path, row !== undefined) }
        : {}),
      ...(isGroup(entry) && state === 'done' && entry.returnExceptions !== 1 ? { group: wholeGroup(entry.group) } : {}),
      ...(isFrame ? this.#returned(path, error) : {}),
    }
  }

  #returned(path: string, error: DescribedError | undefined): { readonly returned?: ChainDescription } {
    const place = placeOf(framePath(path))
    const row = readChain(this.#draft, this.#run, place)
    return row === undefined ? {} : { returned: this.chain(place, row, error) }
  }

  // ---- Groups -------------------------------------------------------------------------------------------------------

  #group(definition: Definition, entry: GroupEntry, path: string, hasBegun: boolean): GroupDescription {
    const row = hasBegun ? viewGroup(this.#draft, this.#run, path).row : undefined
    const { size, next, ended, failed } = row ?? { size: entry.group, next: 0, ended: 0, failed: 0 }
    return {
      size,
      started: next,
      ended,
      failed,
      ...(entry.maxParallelism === undefined ? {} : { maxParallelism: entry.maxParallelism }),
      chains: row === undefined ? this.#pendingChains(definition, entry, path) : this.#chains(path, row),
    }
  }

  #pendingChains(definition: Definition, entry: GroupEntry, path: string): ChainDescription[] {
    const chains: ChainDescription[] = []
    // Pages of a group that has not begun are not worth reading.
    for (const [index, chain] of (entry.chains ?? []).entries()) {
      if (index === this.#question.maxChains || this.#left <= 0) break
      chains.push({ index, ...this.#pendingChain(definition, chain, childPath(path, index)) })
    }
    return chains
  }

  #chains(path: string, row: GroupRow): ChainDescription[] {
    const failures = this.#failuresOf(path, row)
    const chains: ChainDescription[] = []
    for (const index of this.#chosen(path, row, failures)) {
      if (this.#left <= 0) break
      chains.push({ index, ...this.#child(path, row, index, failures.get(index)) })
    }
    return chains
  }

  #failuresOf(path: string, row: GroupRow): ReadonlyMap<number, DescribedError> {
    if (row.failed === 0) return new Map()
    const known = this.#failed.get(path)
    if (known === undefined) this.wanted.push({ run: this.#run, path, row })
    return new Map(known?.map(({ index, error }) => [index, error]))
  }

  /** The chains that are told of a group. */
  #chosen(path: string, row: GroupRow, failures: ReadonlyMap<number, DescribedError>): readonly number[] {
    const { maxChains } = this.#question
    const chosen = new Set<number>()
    const add = (index: number): boolean => chosen.size < maxChains && chosen.add(index).size < maxChains
    for (const index of this.#running(path, row)) if (!add(index)) break
    for (const index of failures.keys()) if (!add(index)) break
    for (let index = 0; index < row.size && add(index); index++);
    return [...chosen].sort((a, b) => a - b)
  }

  /** Chains that have been started and have not ended. */
  *#running(path: string, row: GroupRow): Generator<number> {
    let left = row.next - row.ended
    for (let from = 0; from < row.next && left > 0; from += CHUNKS * CHUNK) {
      const to = Math.min(row.next, from + CHUNKS * CHUNK)
      const chunks: ChunkRow[] = []
      const indices = Array.from({ length: Math.ceil((to - from) / CHUNK) }, (_, chunk) => from + chunk * CHUNK)
      forEachRow(indices, (index) => {
        chunks.push(this.#draft.get<ChunkRow>(this.#run.keys.chunk(path, index))!)
      })
      for (let index = from; index < to && left > 0; index++) {
        if (hasBit(chunks[((index - from) / CHUNK) | 0]!.ended, index % CHUNK)) continue
        left--
        yield index
      }
    }
  }

  #child(path: string, group: GroupRow, index: number, error: DescribedError | undefined): ChainDescription {
    const base = childPath(path, index)
    const place = placeOf(base)
    if (index >= group.next) {
      const { definition, group: chains, page } = groupAt(this.#draft, this.#run, path)
      return this.#pendingChain(definition, childChain(chains, index, page), base)
    }
    const row = readChain(this.#draft, this.#run, place)
    if (row !== undefined) return this.chain(place, row, undefined)
    if (error === undefined) return { state: 'done', entries: [] }
    // A chain that has failed keeps its row for a retry, unless that would be as it began.
    if (group.returnExceptions) return { state: 'failed', entries: [], error }
    const first: ChainRow = { ...firstStep(NONE), phase: 'failed', attempt: error.task?.attempt ?? 1 }
    return this.chain(place, this.#draft.get<ChainRow>(this.#run.keys.chain(base)) ?? first, error)
  }
}

/** What is known of an entry beside its definition. */
interface Known {
  readonly kind?: 'finally'
  readonly state: EntryState
  /** Of its chain, if that is at the entry. */
  readonly row?: ChainRow
  readonly error?: DescribedError | undefined
  /** If its chain is behind it. */
  readonly passed?: Passed | undefined
}

/** Of what a chain remembers of an entry. */
function passedFacts({ age, attempt, tookMs }: Passed, createdAt: number, isTried: boolean) {
  return {
    ...(isTried ? { attempt } : {}),
    since: createdAt + age,
    ...(tookMs === undefined ? {} : { tookMs }),
  }
}

/** Of which every chain has ended well. */
const wholeGroup = (size: number): GroupDescription => ({ size, started: size, ended: size, failed: 0, chains: [] })

// ---- Runs that are over -------------------------------------------------------------------------------------------

const KEPT_KINDS = {
  t: 'task',
  h: 'handler',
  g: 'group',
  e: 'each',
  v: 'value',
  s: 'sleep',
  u: 'sleep',
  w: 'event',
} as const

/** What is kept of a run that has ended well, or was cancelled. */
function describeKept(
  { id, createdAt, status }: PipelineRow,
  { hops, at, trail, caught, entries, count, finally: last }: KeptTree,
  maxEntries: number,
): ChainDescription {
  const passed = readTrail(trail, 0)
  const path = hopPath(ROOT, hops)
  const told = entries.slice(0, maxEntries).map(([letter, name, fact], index): EntryDescription => {
    const kind = KEPT_KINDS[letter]
    const state = keptState(kind, index, at, caught)
    const over = passed.get(index)
    return {
      taskId: id + entryPath(path, index),
      kind,
      name: name || NAMES[kind] || kind,
      state,
      ...(over === undefined ? {} : passedFacts(over, createdAt, kind === 'task' || kind === 'handler')),
      ...(letter === 's' ? { sleepMs: fact! } : letter === 'u' ? { sleepUntil: fact! } : {}),
      ...(letter === 'g' && fact !== undefined && state === 'done' ? { group: wholeGroup(fact) } : {}),
    }
  })
  const hidden = count - told.length
  const taskId = id + entryPath(path, count)
  return {
    pipelineId: id + path,
    state: status === 'CANCELLED' ? 'cancelled' : 'done',
    ...(hops === 0 ? {} : { hops }),
    entries: told,
    ...(hidden === 0 ? {} : { hidden: [0, hidden] }),
    ...(last === undefined ? {} : { finally: { taskId, kind: 'finally', name: last, state: 'done' } }),
  }
}

function keptState(kind: EntryDescription['kind'], index: number, at: number, caught: KeptTree['caught']): EntryState {
  if (index === at) return 'cancelled'
  return index > at ? 'skipped' : passedState(kind === 'handler', index, caught)
}

function stateOf({ phase }: ChainRow): EntryState {
  if (phase === 'event') return 'waiting'
  if (phase === 'waiting' || phase === 'held' || phase === 'failed') return phase
  return 'running'
}

function entryState(
  definition: Definition,
  entry: Entry,
  index: number,
  row: ChainRow,
  hasFailed: boolean,
): EntryState {
  const { saved, caught = [] } = row
  const at = saved?.at ?? row.at
  if (index > at) return hasFailed ? 'skipped' : 'pending'
  if (index === at && (hasFailed || saved === undefined)) return hasFailed ? 'failed' : stateOf(row)
  return passedState(isHandler(definition, entry), index, caught)
}

/** Of an entry that its chain is behind. */
function passedState(handles: boolean, index: number, caught: readonly Caught[]): EntryState {
  if (caught.some(([failed]) => failed === index)) return 'failed'
  if (caught.some(([, handler]) => handler === index)) return 'done'
  return handles || caught.some(([failed, handler]) => failed < index && index < handler) ? 'skipped' : 'done'
}

/** Of what has none of its own. */
const NAMES: Readonly<Partial<Record<EntryDescription['kind'], string>>> = {
  group: 'in parallel',
  each: 'for each',
  value: 'element',
}

function describeKind(
  { steps }: Definition,
  entry: Entry,
): Pick<EntryDescription, 'kind' | 'name' | 'sleepMs' | 'sleepUntil' | 'pauses'> {
  if (isTask(entry)) {
    const { displayName, task, catch: handles, pauseAfter }: Step = steps[entry[0]]!
    const name = (displayName ?? task).slice(0, MOST_NAME)
    return { kind: handles === 1 ? 'handler' : 'task', name, ...pauses(pauseAfter) }
  }
  if (isValue(entry)) return { kind: 'value', name: NAMES.value! }
  const rest = pauses(entry.pauseAfter)
  if (isGroup(entry)) return { kind: 'group', name: NAMES.group!, ...rest }
  if (isEach(entry)) return { kind: 'each', name: NAMES.each!, ...rest }
  if (isEvent(entry)) return { kind: 'event', name: entry.event.slice(0, MOST_NAME), ...rest }
  return 'sleep' in entry
    ? { kind: 'sleep', name: 'sleep', sleepMs: entry.sleep, ...rest }
    : { kind: 'sleep', name: 'sleep', sleepUntil: entry.sleepUntil, ...rest }
}

const pauses = (pauseAfter: 1 | undefined): { readonly pauses?: true } => (pauseAfter === 1 ? { pauses: true } : {})
