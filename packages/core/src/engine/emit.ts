// What the reducer says of what it does: events, numbered in the pipeline's row, so that they are there exactly if the transition is.
// Below the level that was asked for nothing is made, looked up or counted. What others send (`sendEvent`) has no level.
import { describeError, type DescribedError } from '../described-error'
import {
  isEach,
  isEvent,
  isGroup,
  isHandler,
  isSleep,
  isTask,
  isValue,
  nameOf,
  type Chain,
  type Definition,
  type Entry,
  type ValueEntry,
} from '../definition'
import type {
  EntryInfo,
  EventLevel,
  PipelineCreated,
  PipelineEvents,
  PipelineEventType,
  PipelineStatusChanged,
} from '../events/pipeline-event'
import { asBuffer } from '../record'
import { Kind, type Value } from '../value'
import type { EventMessage } from '../wire/inbox-message'
import type { Dispatch, Draft, Emitted, RunView } from './draft'
import { childPath, entryPath, frameOf, splitEntry } from './paths'
import { entriesOf, entryAt, type Entries, type OpenEntry } from './places'
import type { RetryData } from '../retry'
import { EACH_TASK } from './dispatch'
import type { PipelineRow } from './rows'

const LEVELS: Readonly<Record<EventLevel, number>> = { none: 0, pipelines: 1, tasks: 2 }
export const levelOf = (level: EventLevel): number => LEVELS[level]
const PIPELINES = LEVELS.pipelines
const TASKS = LEVELS.tasks

const MOST_ENTRIES = 100
const MOST_TREE = 200

function emit<Type extends PipelineEventType>(
  draft: Draft,
  { row }: RunView,
  type: Type,
  frame: string,
  path: string,
  data: PipelineEvents[Type],
): void {
  const { id, run, gen, meta } = row
  const sequence = ++row.events
  draft.events.push({ type, id, run, gen, sequence, meta, frame, path, data } as Emitted)
}

/** Of a lone task that became a pipeline only its task's events are of interest, and its own together with them. */
const isTold = (draft: Draft, { row }: RunView): boolean => draft.level >= (row.lone ? TASKS : PIPELINES)

// ---- Pipelines -----------------------------------------------------------------------------------------------------

/** The one way to another status. */
export function changeStatus(
  draft: Draft,
  run: RunView,
  status: PipelineStatusChanged['status'],
  failure?: Value,
): void {
  const previous = run.row.status
  run.row.status = status
  if (!isTold(draft, run)) return
  const error = status === 'FAILED' && failure !== undefined ? errorOf(failure) : undefined
  emit(draft, run, 'dev.tasks.pipeline.status', '', '', { status, previous, ...(error && { error }) })
}

export function emitCreated(draft: Draft, run: RunView, definition: Definition): void {
  if (!isTold(draft, run)) return
  const { row } = run
  emit(draft, run, 'dev.tasks.pipeline.created', '', '', createdOf(row, '', row.tasks, definition))
  emit(draft, run, 'dev.tasks.pipeline.status', '', '', { status: row.status })
}

export function emitReturned(
  draft: Draft,
  run: RunView,
  frame: string,
  parent: string,
  tasks: number,
  definition: Definition,
): void {
  if (draft.level < TASKS) return
  const { row } = run
  const created = createdOf(row, frame, tasks, definition)
  emit(draft, run, 'dev.tasks.pipeline.created', frame, '', { ...created, parentId: row.id + parent })
}

/** Entries `from` to `to` of a chain are passed over. */
export function emitSkipped(
  draft: Draft,
  run: RunView,
  chain: string,
  inGroup: boolean,
  { definition, entries }: Entries,
  from: number,
  to: number,
): void {
  if (from >= to || draft.level < (inGroup ? TASKS : PIPELINES)) return
  const budget = { left: MOST_ENTRIES }
  const skipped = infosOf(run.row.id, chain, definition, entries.slice(from, to), from, budget)
  emit(draft, run, 'dev.tasks.pipeline.skipped', frameOf(chain), '', { entries: skipped, count: to - from })
}

function createdOf({ id, meta }: PipelineRow, frame: string, tasks: number, definition: Definition): PipelineCreated {
  const budget = { left: MOST_TREE }
  const chain = infosOf(id, frame, definition, definition.chain, 0, budget)
  const after = definition.finally
  const step = after && definition.steps[after[0]]!
  return {
    name: nameOf(definition, definition.chain),
    tasks,
    ...(meta && { meta }),
    chain,
    ...(step && { finally: { taskId: id + entryPath(frame, definition.chain.length), task: step.task } }),
    ...(budget.left < 0 && { truncated: true as const }),
  }
}

function infosOf(
  id: string,
  chain: string,
  definition: Definition,
  entries: Chain,
  first: number,
  budget: { left: number },
): EntryInfo[] {
  const infos: EntryInfo[] = []
  for (let i = 0; i < entries.length; i++) {
    // It is the beginning of a chain, and no step of it.
    const entry = entries[i]!
    if (isValue(entry)) continue
    if (--budget.left < 0) break
    infos.push(infoOf(id, entryPath(chain, first + i), definition, entry, budget))
  }
  return infos
}

function infoOf(
  id: string,
  path: string,
  definition: Definition,
  entry: Exclude<Entry, ValueEntry>,
  budget: { left: number },
): EntryInfo {
  const taskId = id + path
  if (isTask(entry)) {
    const { task } = definition.steps[entry[0]]!
    return isHandler(definition, entry) ? { taskId, task, handler: true } : { taskId, task }
  }
  if (isSleep(entry)) return { taskId, sleep: true }
  if (isEvent(entry)) return { taskId, event: entry.event }
  const inner = (chain: Chain, index: number): EntryInfo[] =>
    infosOf(id, childPath(path, index), definition, chain, 0, budget)
  if (isEach(entry)) return { taskId, each: inner(entry.each, 0) }
  const chains: EntryInfo[][] = []
  for (const chain of entry.chains ?? []) {
    if (budget.left <= 0) break
    chains.push(inner(chain, chains.length))
  }
  if (isGroup(entry) && chains.length < entry.group) budget.left = -1
  return { taskId, group: entry.group, chains }
}

/** Somebody has sent an event: whoever subscribes is to see it, whatever pipelines say of themselves. Its value is the codec's, and is not opened here. */
export function emitSentEvent(draft: Draft, { eventId, key, pipelineId, value }: EventMessage): void {
  const { kind, bytes } = value
  const about = pipelineId === undefined ? {} : { pipelineId }
  const data = { key, ...about, value: kind === Kind.none ? null : asBuffer(bytes).toString('base64') }
  draft.sentEvents.push({ eventId, at: draft.now, data })
}

// ---- Tasks ---------------------------------------------------------------------------------------------------------

export function emitSent(draft: Draft, run: RunView, { path, attempt, resends, step }: Dispatch): void {
  if (draft.level < TASKS) return
  const data = { task: step.task, attempt, ...(resends > 0 && { resends }) }
  emit(draft, run, 'dev.tasks.task.dispatched', frameOfEntry(path), path, data)
}

export function emitEnded(draft: Draft, run: RunView, open: OpenEntry, how: 'completed' | 'cancelled'): void {
  if (draft.level < TASKS) return
  const { path, row } = open
  const data = { task: taskAt(draft, run, open), attempt: row.attempt }
  emit(draft, run, `dev.tasks.task.${how}`, frameOfEntry(path), path, data)
}

/** `dueAt`: when it is tried again, if it is. */
export function emitFailed(draft: Draft, run: RunView, open: OpenEntry, failure: Value, dueAt?: number): void {
  if (draft.level < TASKS) return
  const { path, row } = open
  const data = { task: taskAt(draft, run, open), attempt: row.attempt, error: errorOf(failure) }
  if (dueAt === undefined) emit(draft, run, 'dev.tasks.task.failed', frameOfEntry(path), path, data)
  else emit(draft, run, 'dev.tasks.task.retried', frameOfEntry(path), path, { ...data, dueAt })
}

/** The task of an open entry waits for its time. `retry`: its policy, if its step does not say. */
export function noteScheduled(draft: Draft, run: RunView, open: OpenEntry, dueAt: number, retry?: RetryData): void {
  if (!draft.notesScheduled || dueAt <= draft.now) return
  const { path, row, ...place } = open
  const found = entriesOf(draft, run, place, row.hop)
  const entry = entryAt(found, row)
  if (!isTask(entry)) return
  const step = found.definition.steps[entry[0]]!
  const { id, run: name, meta } = run.row
  const attempt = Math.max(1, row.attempt)
  const asked = retry === undefined ? step : { ...step, retry }
  draft.scheduled.push({ id, run: name, path, attempt, dueAt, meta, step: asked })
}

function taskAt(draft: Draft, run: RunView, { row, ...place }: OpenEntry): string {
  const found = entriesOf(draft, run, place, row.hop)
  const entry = entryAt(found, row)
  return isTask(entry) ? found.definition.steps[entry[0]]!.task : EACH_TASK
}

const frameOfEntry = (path: string): string => frameOf(splitEntry(path)!.chain)

/** Of a failure that nobody can read it is said that there was one: reading it is no reason to fail. */
function errorOf(failure: Value): DescribedError {
  try {
    const { stack: _, ...error } = describeError(failure)
    return error
  } catch {
    return { code: 'TASKS_UNDECODABLE', name: 'TaskError', message: 'the failure cannot be read' }
  }
}
