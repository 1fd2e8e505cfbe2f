// How a chain advances: entry by entry, through retries, into groups and returned pipelines, and out again to whoever waits for it.
//
// C1. An entry is open while its chain's row says so; what arrives for any other entry, hop or attempt changes nothing.
// C2. A success of any attempt counts while the entry is open; a failure counts only if its attempt is the current one.
// C3. Nothing here reads a clock or draws a random number: `draft.now` and the run's identity decide everything.
import { crc32 } from 'node:zlib'
import { childChain, isGroup, type Chain, type Definition, type Entry, type GroupEntry, type TaskEntry } from '../definition'
import { retryDelay } from '../retry'
import { Kind, NONE, setOf, type Value } from '../value'
import { decodeDefinitionValue, type PackedDefinition, type Verdict } from '../wire'
import type { Draft, RunView } from './draft'
import { finish } from './finish'
import { deletePages, readPage, sourceOf, writePages } from './frames'
import { childState, isLive, markEnded, markLive, startGroup } from './groups'
import { entryPath, frameOf, framePath, hopPath, parentOf, splitEntry, splitHop, wayTo, ROOT } from './paths'
import type { ChainRow } from './rows'

// ---- Finding -------------------------------------------------------------------------------------------------------

/** The state of a chain (named without hops), or undefined if it does not run now. */
export function readChain(draft: Draft, run: RunView, base: string): ChainRow | undefined {
  if (base === ROOT) return run.row.chain
  const parent = parentOf(base)
  return parent.kind === 'group' ? childState(draft, run, base, parent.entry, parent.index) : draft.get<ChainRow>(run.keys.chain(base))
}

export function writeChain(draft: Draft, run: RunView, base: string, row: ChainRow): void {
  if (base === ROOT) {
    run.row.chain = row
    return
  }
  draft.put(run.keys.chain(base), row)
  const parent = parentOf(base)
  if (parent.kind === 'group') markLive(draft, run, parent.entry, parent.index)
}

/** The entries of a chain. `chain` is its path with hops. */
export function entriesOf(draft: Draft, run: RunView, chain: string): { readonly definition: Definition; readonly entries: Chain; readonly page: PageOf } {
  const frame = frameOf(chain)
  const source = readChain(draft, run, splitHop(frame).base)!.definition!
  const definition = readPage(draft, run, frame, source, 0).definition()
  const page: PageOf = (number) => readPage(draft, run, frame, source, number).chains(definition)
  let entries = definition.chain
  for (const [entry, child] of wayTo(chain, frame)) entries = childChain(asGroup(entries[entry], chain), child, page)
  return { definition, entries, page }
}

/** The group at an entry, and how to find its chains. */
export function groupAt(draft: Draft, run: RunView, path: string): { readonly definition: Definition; readonly group: GroupEntry; readonly page: PageOf } {
  const { chain, index } = splitEntry(path)!
  const { definition, entries, page } = entriesOf(draft, run, chain)
  return { definition, group: asGroup(entries[index], path), page }
}

type PageOf = (number: number) => readonly Chain[]

function asGroup(entry: Entry | undefined, path: string): GroupEntry {
  if (entry === undefined || !isGroup(entry)) throw new Error(`the definition has no group at ${path}`)
  return entry
}

interface OpenEntry {
  readonly chain: string
  readonly base: string
  readonly row: ChainRow
}

/** The chain that waits for this entry's task, if the entry is open (C1). */
function openEntry(draft: Draft, run: RunView, path: string): OpenEntry | undefined {
  const entry = splitEntry(path)
  if (entry === undefined || run.row.status !== 'RUNNING') return undefined
  const { base, hop } = splitHop(entry.chain)
  const row = readChain(draft, run, base)
  if (row === undefined || row.hop !== hop || row.at !== entry.index) return undefined
  return row.phase === 'sent' || row.phase === 'waiting' ? { chain: entry.chain, base, row } : undefined
}

/** Whether this attempt of this entry is outstanding: dispatched, and not heard of since. */
export function isOutstanding(draft: Draft, run: RunView, path: string, attempt: number): ChainRow | undefined {
  const open = openEntry(draft, run, path)
  return open !== undefined && open.row.phase === 'sent' && open.row.attempt === attempt ? open.row : undefined
}

// ---- What happens to an entry --------------------------------------------------------------------------------------

/** A task has returned. */
export function entrySucceeded(draft: Draft, run: RunView, path: string, value: Value): void {
  const open = openEntry(draft, run, path)
  if (open === undefined) return
  close(draft, run, path, open.row)
  run.row.attempts++
  run.row.done++
  if (value.kind === Kind.pipeline) startFrame(draft, run, open, path, decodeDefinitionValue(value.bytes))
  else startNext(draft, run, open.chain, open.base, open.row, value)
}

/** A task has failed. */
export function entryFailed(draft: Draft, run: RunView, path: string, attempt: number, failure: Value, verdict: Verdict): void {
  const open = openEntry(draft, run, path)
  if (open === undefined || open.row.phase !== 'sent' || open.row.attempt !== attempt) return
  close(draft, run, path, open.row)
  run.row.attempts++
  const { definition, entries } = entriesOf(draft, run, open.chain)
  const step = definition.steps[(entries[open.row.at] as TaskEntry)[0]]!
  const retry = step.retry ?? verdict.retry
  if (!verdict.retryable || retry === undefined || attempt > retry.maxRetries) return chainFailed(draft, run, open.base, failure)
  const chance = crc32(`${run.row.run}${path}#${attempt}`) / 0x1_0000_0000
  const due = draft.now + Math.ceil(verdict.retryAfterMs ?? retryDelay(retry, attempt, chance))
  waitUntil(draft, run, path, open.base, { ...open.row, attempt: attempt + 1, resends: 0 }, due)
}

/** Lets an entry wait for its time; the timer is a row, so it survives everything. */
export function waitUntil(draft: Draft, run: RunView, path: string, base: string, row: ChainRow, due: number): void {
  writeChain(draft, run, base, { ...row, phase: 'waiting' })
  draft.put(run.keys.timer(due, `d${path}`), { kind: 'dispatch', id: run.row.id, run: run.row.run, path, attempt: row.attempt })
}

/** A timer has fired for this attempt. */
export function entryDue(draft: Draft, run: RunView, path: string, attempt: number): void {
  const open = openEntry(draft, run, path)
  if (open === undefined || open.row.phase !== 'waiting' || open.row.attempt !== attempt) return
  // A delayed run may begin with a group.
  if (isGroup(entriesOf(draft, run, open.chain).entries[open.row.at]!)) {
    return startEntry(draft, run, open.chain, open.base, open.row, open.row.at, open.row.input)
  }
  const row: ChainRow = { ...open.row, phase: 'sent' }
  writeChain(draft, run, open.base, row)
  dispatchEntry(draft, run, open.chain, row)
}

/** Sends an outstanding attempt again: whoever had it has died, or the broker has forgotten it. */
export function resendEntry(draft: Draft, run: RunView, path: string, attempt: number): void {
  const open = openEntry(draft, run, path)
  if (open === undefined || open.row.phase !== 'sent' || open.row.attempt !== attempt) return
  close(draft, run, path, open.row)
  const row: ChainRow = { ...open.row, resends: open.row.resends + 1 }
  writeChain(draft, run, open.base, row)
  dispatchEntry(draft, run, open.chain, row)
}

function close(draft: Draft, run: RunView, path: string, row: ChainRow): void {
  if (row.phase === 'sent') draft.closed.push({ id: run.row.id, run: run.row.run, path, attempt: row.attempt })
}

function dispatchEntry(draft: Draft, run: RunView, chain: string, row: ChainRow): void {
  const { definition, entries } = entriesOf(draft, run, chain)
  const [step, args] = entries[row.at] as TaskEntry
  draft.dispatches.push({
    id: run.row.id, run: run.row.run, path: entryPath(chain, row.at), attempt: row.attempt, resends: row.resends,
    step: definition.steps[step]!, input: row.input, args, meta: run.row.meta, group: undefined, child: 0, shared: row.resends > 0,
  })
}

// ---- How a chain goes on -------------------------------------------------------------------------------------------

/** Starts the entry after `row.at`, or ends the chain. */
function startNext(draft: Draft, run: RunView, chain: string, base: string, row: ChainRow, input: Value): void {
  startEntry(draft, run, chain, base, row, row.at + 1, input)
}

/** Starts entry `index` of a chain with this upstream value; a chain without such an entry ends with it. */
export function startEntry(draft: Draft, run: RunView, chain: string, base: string, row: ChainRow, index: number, input: Value): void {
  const { entries } = entriesOf(draft, run, chain)
  let at = index
  let value = input
  for (;;) {
    const entry = entries[at]
    if (entry === undefined) return chainSucceeded(draft, run, base, value)
    if (!isGroup(entry)) {
      const next: ChainRow = { ...row, at, phase: 'sent', attempt: 1, resends: 0, input: value, retry: undefined }
      writeChain(draft, run, base, next)
      return dispatchEntry(draft, run, chain, next)
    }
    if (entry.group > 0) {
      writeChain(draft, run, base, { ...row, at, phase: 'group', attempt: 1, resends: 0, input: NONE, retry: undefined })
      return startGroup(draft, run, entryPath(chain, at), entry, value)
    }
    // An empty group ends at once with an empty list.
    value = setOf([])
    at++
  }
}

/** The group that this chain waited for has ended. */
export function groupEnded(draft: Draft, run: RunView, entry: string, value: Value, failed: boolean): void {
  const { chain, index } = splitEntry(entry)!
  const { base, hop } = splitHop(chain)
  const row = readChain(draft, run, base)
  if (row === undefined || row.hop !== hop || row.at !== index || row.phase !== 'group') return
  if (failed) chainFailed(draft, run, base, value)
  else startNext(draft, run, chain, base, row, value)
}

function chainSucceeded(draft: Draft, run: RunView, base: string, value: Value): void {
  leave(draft, run, base)
  const parent = parentOf(base)
  if (parent.kind === 'root') return finish(draft, run, 'COMPLETED', value)
  if (parent.kind === 'group') return markEnded(draft, run, parent.entry, parent.index, value)
  const caller = splitEntry(parent.entry)!
  const callerBase = splitHop(caller.chain).base
  startNext(draft, run, caller.chain, callerBase, readChain(draft, run, callerBase)!, value)
}

function chainFailed(draft: Draft, run: RunView, base: string, failure: Value): void {
  let failing = base
  for (;;) {
    leave(draft, run, failing)
    const parent = parentOf(failing)
    if (parent.kind === 'root') return finish(draft, run, 'FAILED', failure)
    if (parent.kind === 'group') return markEnded(draft, run, parent.entry, parent.index, failure)
    failing = splitHop(splitEntry(parent.entry)!.chain).base
  }
}

/** Deletes what a chain that ends has kept for itself. */
function leave(draft: Draft, run: RunView, base: string): void {
  const parent = parentOf(base)
  // The root chain is part of the pipeline's row; a chain of a group mostly has no row at all.
  if (parent.kind === 'root' || (parent.kind === 'group' && !isLive(draft, run, parent.entry, parent.index))) return
  const key = run.keys.chain(base)
  const row = draft.get<ChainRow>(key)
  if (row !== undefined) deletePages(draft, run, hopPath(base, row.hop), row.definition)
  draft.delete(key)
}

// ---- Returned pipelines --------------------------------------------------------------------------------------------

/** The task at `path` returned a pipeline: it takes the place of the task's result, or, in tail position, of the whole chain. */
function startFrame(draft: Draft, run: RunView, open: OpenEntry, path: string, packed: PackedDefinition): void {
  run.row.tasks += packed.tasks
  const { entries } = entriesOf(draft, run, open.chain)
  const started: ChainRow = { hop: 0, at: 0, phase: 'sent', attempt: 1, resends: 0, input: NONE, definition: sourceOf(packed), retry: undefined }
  const isTail = open.row.at === entries.length - 1
  if (isTail) {
    // The caller's frame is done with: recursion costs a step each, neither rows nor depth.
    deletePages(draft, run, open.chain, open.row.definition)
    const row = { ...started, hop: open.row.hop + 1 }
    const chain = hopPath(open.base, row.hop)
    writePages(draft, run, chain, packed)
    writeChain(draft, run, open.base, row)
    startEntry(draft, run, chain, open.base, row, 0, NONE)
  } else {
    writeChain(draft, run, open.base, { ...open.row, phase: 'frame', input: NONE })
    const chain = framePath(path)
    writePages(draft, run, chain, packed)
    writeChain(draft, run, chain, started)
    startEntry(draft, run, chain, chain, started, 0, NONE)
  }
}
