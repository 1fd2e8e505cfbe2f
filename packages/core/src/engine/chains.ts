// How a chain advances: entry by entry, through retries, into groups and returned pipelines, and out again to whoever waits for it.
//
// C1. An entry is open while its chain's row says so; what arrives for any other entry, hop or attempt changes nothing.
// C2. A success of any attempt counts while the entry is open; a failure counts only if its attempt is the current one.
// C3. Nothing here reads a clock or draws a random number: `draft.now` and the run's identity decide everything.
import { crc32 } from 'node:zlib'
import {
  childChain,
  isGroup,
  type Chain,
  type Definition,
  type Entry,
  type GroupEntry,
  type TaskEntry,
} from '../definition'
import { retryDelay } from '../retry'
import { failureValue, Kind, NONE, setOf, type Value } from '../value'
import { decodeDefinitionValue, type PackedDefinition, type Verdict } from '../wire'
import type { Draft, RunView } from './draft'
import { finish } from './finish'
import { deletePages, readPage, sourceOf, writePages } from './frames'
import { startGroup, viewGroup, type GroupChains } from './groups'
import {
  entryPath,
  frameOf,
  framePath,
  hopPath,
  parentOf,
  ROOT,
  splitEntry,
  splitHop,
  wayTo,
  type ChainParent,
} from './paths'
import type { ChainRow, Note } from './rows'

const MOST_NOTES = 20
const LONE_PIPELINE = failureValue({
  code: 'TASKS_UNSUPPORTED',
  name: 'TaskError',
  message: 'a lone task returned a pipeline: submit it as a pipeline instead of enqueueing it',
})

/** A chain, named without its tail calls, and what it answers to. */
interface Place {
  readonly base: string
  readonly parent: ChainParent
}

const placeOf = (base: string): Place => ({ base, parent: parentOf(base) })

// ---- Finding -------------------------------------------------------------------------------------------------------

/** The state of a chain, or undefined if it does not run now. */
function readChain(draft: Draft, run: RunView, { base, parent }: Place): ChainRow | undefined {
  switch (parent.kind) {
    case 'root':
      return run.row.chain
    case 'group':
      return viewGroup(draft, run, parent.entry).child(base, parent.index)
    case 'frame':
      return draft.get<ChainRow>(run.keys.chain(base))
  }
}

function writeChain(draft: Draft, run: RunView, { base, parent }: Place, row: ChainRow): void {
  if (parent.kind === 'root') {
    run.row.chain = row
    return
  }
  draft.put(run.keys.chain(base), row)
  if (parent.kind === 'group') viewGroup(draft, run, parent.entry).markLive(parent.index)
}

interface Entries {
  readonly definition: Definition
  readonly entries: Chain
}

/** The entries of a chain, as its definition has them. */
function entriesOf(draft: Draft, run: RunView, { base, parent }: Place, hop: number): Entries {
  if (parent.kind === 'group' && hop === 0) {
    const { definition, group, page } = groupAt(draft, run, parent.entry)
    return { definition, entries: childChain(group, parent.index, page) }
  }
  return frameEntries(draft, run, hopPath(base, hop))
}

/** The group at an entry, and how to find its chains. */
export function groupAt(draft: Draft, run: RunView, path: string): GroupChains {
  const view = viewGroup(draft, run, path)
  if (view.chains !== undefined) return view.chains
  const { chain, index } = splitEntry(path)!
  const { definition, entries, page } = frameEntries(draft, run, chain)
  return (view.chains = { definition, group: asGroup(entries[index], path), page })
}

/** From the chain's frame down to the chain. */
function frameEntries(draft: Draft, run: RunView, chain: string): Entries & Pick<GroupChains, 'page'> {
  const frame = frameOf(chain)
  const source = readChain(draft, run, placeOf(splitHop(frame).base))!.definition!
  const definition = readPage(draft, run, frame, source, 0).definition()
  const page = lastPage((number) => readPage(draft, run, frame, source, number).chains(definition, number))
  let entries = definition.chain
  for (const [entry, child] of wayTo(chain, frame)) entries = childChain(asGroup(entries[entry], chain), child, page)
  return { definition, entries, page }
}

/** Neighbouring chains are mostly on one page. */
function lastPage(read: GroupChains['page']): GroupChains['page'] {
  let last = -1
  let chains: readonly Chain[] = []
  return (number) => {
    if (number !== last) {
      chains = read(number)
      last = number
    }
    return chains
  }
}

function asGroup(entry: Entry | undefined, path: string): GroupEntry {
  if (entry === undefined || !isGroup(entry)) throw new Error(`the definition has no group at ${path}`)
  return entry
}

interface OpenEntry extends Place {
  readonly path: string
  readonly row: ChainRow
}

/** The chain that waits for this entry's task, if the entry is open (C1). */
function openEntry(draft: Draft, run: RunView, path: string): OpenEntry | undefined {
  const entry = splitEntry(path)
  if (entry === undefined || run.row.status !== 'RUNNING') return undefined
  const { base, hop } = splitHop(entry.chain)
  const parent = parentOf(base)
  const row = readChain(draft, run, { base, parent })
  if (row === undefined || row.hop !== hop || row.at !== entry.index) return undefined
  return row.phase === 'sent' || row.phase === 'waiting' ? { base, parent, path, row } : undefined
}

/** Keeps what a running task says of itself: the latest notes, a few at most. */
export function noteProgress(draft: Draft, run: RunView, path: string, attempt: number, note: Note): void {
  if (sentEntry(draft, run, path, attempt) === undefined) return
  const { [path]: _, ...others } = run.row.notes ?? {}
  run.row.notes = Object.fromEntries([...Object.entries(others).slice(1 - MOST_NOTES), [path, note]])
}

/** Whether this attempt of this entry is outstanding: dispatched, and not heard of since. */
export function isOutstanding(draft: Draft, run: RunView, path: string, attempt: number): ChainRow | undefined {
  return sentEntry(draft, run, path, attempt)?.row
}

function sentEntry(draft: Draft, run: RunView, path: string, attempt: number): OpenEntry | undefined {
  const open = openEntry(draft, run, path)
  return open !== undefined && open.row.phase === 'sent' && open.row.attempt === attempt ? open : undefined
}

// ---- What happens to an entry --------------------------------------------------------------------------------------

/** A task has returned. */
export function entrySucceeded(draft: Draft, run: RunView, path: string, value: Value): void {
  const open = openEntry(draft, run, path)
  if (open === undefined) return
  close(draft, run, open)
  run.row.attempts++
  run.row.done++
  if (value.kind === Kind.pipeline && run.row.lone) chainFailed(draft, run, open, LONE_PIPELINE)
  else if (value.kind === Kind.pipeline) startFrame(draft, run, open, decodeDefinitionValue(value.bytes))
  else startEntry(draft, run, open, open.row, open.row.at + 1, value)
}

/** A task has failed. */
export function entryFailed(
  draft: Draft,
  run: RunView,
  path: string,
  attempt: number,
  failure: Value,
  verdict: Verdict,
): void {
  const open = sentEntry(draft, run, path, attempt)
  if (open === undefined) return
  close(draft, run, open)
  run.row.attempts++
  const { definition, entries } = entriesOf(draft, run, open, open.row.hop)
  const step = definition.steps[(entries[open.row.at] as TaskEntry)[0]]!
  const retry = step.retry ?? verdict.retry
  if (!verdict.retryable || retry === undefined || attempt > retry.maxRetries)
    return chainFailed(draft, run, open, failure)
  const chance = crc32(`${run.row.run}${path}#${attempt}`) / 0x1_0000_0000
  const due = draft.now + Math.ceil(verdict.retryAfterMs ?? retryDelay(retry, attempt, chance))
  waitUntil(draft, run, open, { ...open.row, attempt: attempt + 1, resends: 0 }, due)
}

/** Lets the chain's entry wait for its time; the timer is a row, so it survives everything. */
function waitUntil(draft: Draft, run: RunView, place: Place, row: ChainRow, due: number): void {
  writeChain(draft, run, place, { ...row, phase: 'waiting' })
  const path = entryPath(hopPath(place.base, row.hop), row.at)
  draft.put(run.keys.timer(due, `d${path}`), {
    kind: 'dispatch',
    id: run.row.id,
    run: run.row.run,
    path,
    attempt: row.attempt,
  })
}

/** A timer has fired for this attempt. */
export function entryDue(draft: Draft, run: RunView, path: string, attempt: number): void {
  const open = openEntry(draft, run, path)
  if (open === undefined || open.row.phase !== 'waiting' || open.row.attempt !== attempt) return
  // A delayed run may begin with a group, which is not sent but started.
  if (isGroup(entriesOf(draft, run, open, open.row.hop).entries[open.row.at]!)) {
    return startEntry(draft, run, open, open.row, open.row.at, open.row.input)
  }
  dispatchAgain(draft, run, open, { ...open.row, phase: 'sent' })
}

/** Sends an outstanding attempt again: whoever had it has died, or the broker has forgotten it. */
export function resendEntry(draft: Draft, run: RunView, path: string, attempt: number): void {
  const open = sentEntry(draft, run, path, attempt)
  if (open === undefined) return
  close(draft, run, open)
  dispatchAgain(draft, run, open, { ...open.row, resends: open.row.resends + 1 })
}

function dispatchAgain(draft: Draft, run: RunView, place: Place, row: ChainRow): void {
  writeChain(draft, run, place, row)
  const { definition, entries } = entriesOf(draft, run, place, row.hop)
  dispatch(draft, run, place, row, definition, entries[row.at] as TaskEntry)
}

function close(draft: Draft, run: RunView, { path, row, parent }: OpenEntry): void {
  if (run.row.notes?.[path] !== undefined) {
    const { [path]: _, ...others } = run.row.notes
    run.row.notes = Object.keys(others).length === 0 ? undefined : others
  }
  if (row.phase !== 'sent') return
  const { attempt, resends, at, hop } = row
  const child = parent.kind === 'group' && at === 0 && hop === 0 && attempt === 1 && resends === 0 ? parent : undefined
  draft.closed.push({
    id: run.row.id,
    run: run.row.run,
    path,
    attempt,
    group: child?.entry,
    child: child?.index ?? 0,
  })
}

function dispatch(
  draft: Draft,
  run: RunView,
  { base }: Place,
  row: ChainRow,
  definition: Definition,
  [step, args]: TaskEntry,
): void {
  draft.dispatches.push({
    id: run.row.id,
    run: run.row.run,
    path: entryPath(hopPath(base, row.hop), row.at),
    attempt: row.attempt,
    resends: row.resends,
    step: definition.steps[step]!,
    input: row.input,
    args,
    meta: run.row.meta,
    group: undefined,
    child: 0,
    shared: row.resends > 0,
  })
}

// ---- How a chain goes on -------------------------------------------------------------------------------------------

/** Starts the first entry of the root chain, now or at its time. */
export function startRoot(draft: Draft, run: RunView, runAt: number): void {
  const place = placeOf(ROOT)
  const row = run.row.chain!
  if (runAt > draft.now) waitUntil(draft, run, place, row, runAt)
  else startEntry(draft, run, place, row, 0, NONE)
}

/** Starts a chain of a group whose first entry is not a task. */
export function startChild(draft: Draft, run: RunView, base: string, row: ChainRow): void {
  startEntry(draft, run, placeOf(base), row, 0, row.input)
}

/** Starts entry `index` of a chain with this upstream value; a chain without such an entry ends with it. */
function startEntry(draft: Draft, run: RunView, place: Place, row: ChainRow, index: number, input: Value): void {
  const { definition, entries } = entriesOf(draft, run, place, row.hop)
  let at = index
  let value = input
  for (;;) {
    const entry = entries[at]
    if (entry === undefined) return chainSucceeded(draft, run, place, value)
    if (!isGroup(entry)) {
      const next: ChainRow = { ...row, at, phase: 'sent', attempt: 1, resends: 0, input: value }
      writeChain(draft, run, place, next)
      return dispatch(draft, run, place, next, definition, entry as TaskEntry)
    }
    if (entry.group > 0) {
      writeChain(draft, run, place, { ...row, at, phase: 'group', attempt: 1, resends: 0, input: NONE })
      return startGroup(draft, run, entryPath(hopPath(place.base, row.hop), at), entry, value)
    }
    // An empty group ends at once with an empty list.
    value = setOf([])
    at++
  }
}

/** The group that a chain waited for has ended. */
export function groupEnded(draft: Draft, run: RunView, entry: string, value: Value, failed: boolean): void {
  const { chain, index } = splitEntry(entry)!
  const { base, hop } = splitHop(chain)
  const place = placeOf(base)
  const row = readChain(draft, run, place)
  if (row === undefined || row.hop !== hop || row.at !== index || row.phase !== 'group') return
  if (failed) chainFailed(draft, run, place, value)
  else startEntry(draft, run, place, row, index + 1, value)
}

function chainSucceeded(draft: Draft, run: RunView, place: Place, value: Value): void {
  leave(draft, run, place)
  const { parent } = place
  if (parent.kind === 'root') return finish(draft, run, 'COMPLETED', value)
  if (parent.kind === 'group') return viewGroup(draft, run, parent.entry).markEnded(parent.index, value)
  const caller = placeOf(splitHop(splitEntry(parent.entry)!.chain).base)
  const row = readChain(draft, run, caller)!
  startEntry(draft, run, caller, row, row.at + 1, value)
}

function chainFailed(draft: Draft, run: RunView, failed: Place, failure: Value): void {
  let place = failed
  for (;;) {
    leave(draft, run, place)
    const { parent } = place
    if (parent.kind === 'root') return finish(draft, run, 'FAILED', failure)
    if (parent.kind === 'group') return viewGroup(draft, run, parent.entry).markEnded(parent.index, failure)
    place = placeOf(splitHop(splitEntry(parent.entry)!.chain).base)
  }
}

/** Deletes what a chain that ends has kept for itself. */
function leave(draft: Draft, run: RunView, { base, parent }: Place): void {
  // The root chain is part of the pipeline's row; a chain of a group mostly has no row at all.
  if (parent.kind === 'root' || (parent.kind === 'group' && !viewGroup(draft, run, parent.entry).isLive(parent.index)))
    return
  const key = run.keys.chain(base)
  const row = draft.get<ChainRow>(key)
  if (row !== undefined) deletePages(draft, run, hopPath(base, row.hop), row.definition)
  draft.delete(key)
}

/** The task at an open entry returned a pipeline: it takes the place of the task's result, or, in tail position, of the whole chain. */
function startFrame(draft: Draft, run: RunView, open: OpenEntry, packed: PackedDefinition): void {
  run.row.tasks += packed.tasks
  const { entries } = entriesOf(draft, run, open, open.row.hop)
  const started: ChainRow = {
    hop: 0,
    at: 0,
    phase: 'sent',
    attempt: 1,
    resends: 0,
    input: NONE,
    definition: sourceOf(packed),
  }
  if (open.row.at === entries.length - 1) {
    // The caller's frame is done with: recursion costs a step each, neither rows nor depth.
    deletePages(draft, run, hopPath(open.base, open.row.hop), open.row.definition)
    const row = { ...started, hop: open.row.hop + 1 }
    writePages(draft, run, hopPath(open.base, row.hop), packed)
    writeChain(draft, run, open, row)
    startEntry(draft, run, open, row, 0, NONE)
  } else {
    writeChain(draft, run, open, { ...open.row, phase: 'frame', input: NONE })
    const base = framePath(open.path)
    writePages(draft, run, base, packed)
    const place = placeOf(base)
    writeChain(draft, run, place, started)
    startEntry(draft, run, place, started, 0, NONE)
  }
}
