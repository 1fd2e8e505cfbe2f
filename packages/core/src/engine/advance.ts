// How a chain goes on: to its next entry, to the next handler of a failure, through its finally, and out to whoever waits for it.
//
// A loop and not a recursion: when a pipeline ends that was returned by a task of a pipeline that was returned …, all of them may end at once.
import {
  isEach,
  isEvent,
  isGroup,
  isHandler,
  isPure,
  isSleep,
  isTask,
  isValue,
  pausesAfter,
  type Chain,
  type EachEntry,
  type EventEntry,
  type TaskEntry,
} from '../definition'
import { initialState, mergeState } from '../state'
import { failureValue, isFailure, NONE, setOf, withSuppressed, type Value } from '../value'
import type { PackedDefinition } from '../wire/packed-definition'
import { argsValue, eachArgs, eachStep, givenValue } from './dispatch'
import type { Dispatch, Draft, RunView } from './draft'
import { changeStatus, emitReturned, emitSent, emitSkipped } from './emit'
import { eventAddress } from './event-address'
import { followingOf } from './following'
import { finish } from './finish'
import { keptTree } from './kept-tree'
import { deletePages, forgetFinally, noteFinally, openPages, sourceOf, writePages } from './frames'
import { startGroup, viewGroup } from './groups'
import { entryPath, frameOf, framePath, hopPath, ROOT } from './paths'
import {
  entriesOf,
  entryAt,
  finallyOf,
  pathAt,
  placeOf,
  placeOfEntry,
  readChain,
  stateAt,
  writeChain,
  type Entries,
  type OpenEntry,
  type Place,
} from './places'
import { atEntry, firstStep, type Caught, type ChainRow } from './rows'
import { beginning, passedBy } from './trail'
import { timersFull } from './timer-limit'

/** The longest path: pipelines that are returned within each other, other than in tail position, make it longer. */
const MOST_PATH = 4_096
/** What a chain remembers of handlers that ran, for people: it is written with each step. */
const MOST_CAUGHT = 100

type Next =
  /** The entry at hand has ended with this value: the next one is to be started. */
  | { readonly do: 'go on'; readonly place: Place; readonly row: ChainRow; readonly value: Value }
  /** The entry at hand has failed. */
  | { readonly do: 'fail'; readonly place: Place; readonly row: ChainRow; readonly failure: Value }
  /** There is nothing left to do but to end. */
  | { readonly do: 'end'; readonly place: Place; readonly row: ChainRow; readonly outcome: Value }

function run(draft: Draft, view: RunView, first: Next | undefined): void {
  for (let next = first; next !== undefined;) {
    switch (next.do) {
      case 'go on':
        next = start(draft, view, next.place, next.row, next.row.at + 1, next.value, true)
        break
      case 'fail':
        next = fail(draft, view, next.place, next.row, next.failure)
        break
      case 'end':
        next = end(draft, view, next.place, next.row, next.outcome)
    }
  }
}

/** Starts entry `index` of a chain with this upstream value; a chain without such an entry ends with it. */
export function startEntry(
  draft: Draft,
  view: RunView,
  place: Place,
  row: ChainRow,
  index: number,
  value: Value,
): void {
  run(draft, view, start(draft, view, place, row, index, value))
}

/** The chain's entry has ended well. */
export function goOn(draft: Draft, view: RunView, place: Place, row: ChainRow, value: Value): void {
  run(draft, view, start(draft, view, place, row, row.at + 1, value, true))
}

/** The chain's entry has failed for good. */
export function failEntry(draft: Draft, view: RunView, place: Place, row: ChainRow, failure: Value): void {
  run(draft, view, fail(draft, view, place, row, failure))
}

/** The chain's finally has ended, with a failure of its own or well. */
export function finallyEnded(
  draft: Draft,
  view: RunView,
  place: Place,
  row: ChainRow,
  failure: Value | undefined,
): void {
  const { value, at, phase } = row.saved!
  // All but the finally has ended well: a retry has nothing else to run again.
  if (failure !== undefined && !isFailure(value)) return run(draft, view, { do: 'end', place, row, outcome: failure })
  const outcome = failure === undefined ? value : withSuppressed(value, failure)
  run(draft, view, { do: 'end', place, row: { ...row, saved: undefined, at, phase }, outcome })
}

// ---- Starting ------------------------------------------------------------------------------------------------------

function start(
  draft: Draft,
  view: RunView,
  place: Place,
  row: ChainRow,
  index: number,
  input: Value,
  /** The entry before `index` has just ended. */
  hasEnded = false,
): Next | undefined {
  const found = entriesOf(draft, view, place, row.hop)
  const { entries } = found
  if (hasEnded) pauseAfter(draft, view, found, index - 1)
  // A chain that ends has nothing to remember, but for that of the pipeline.
  const remembers = hasEnded && (entries[index] !== undefined || place.parent.kind === 'root')
  const trail = remembers ? passedBy(row, age(draft, view)) : row.trail
  let at = index
  let value = input
  for (;;) {
    const entry = entries[at]
    if (entry === undefined) return toFinally(draft, view, place, remembers ? { ...row, trail } : row, value, found)
    const next = atEntry(row, at, value, trail)
    if (isGroup(entry)) {
      if (entry.group > 0) {
        const state = stateAt(draft, view, place, row)
        writeChain(draft, view, place, { ...next, phase: 'group', since: age(draft, view), input: NONE })
        startGroup(draft, view, entryPath(hopPath(place.base, row.hop), at), entry, value, state)
        return undefined
      }
      // An empty group ends at once with an empty list.
      value = setOf([])
      pauseAfter(draft, view, found, at)
    } else if (isValue(entry)) {
      value = givenValue(entry)
    } else if (isEvent(entry)) {
      return startWait(draft, view, place, next, entry)
    } else if (isSleep(entry)) {
      const until = 'sleep' in entry ? draft.now + entry.sleep : entry.sleepUntil
      if (until > draft.now) {
        const full = timersFull(draft, view.row.id)
        if (full !== undefined) return { do: 'fail', place, row: next, failure: failureValue({ ...full }) }
        waitUntil(draft, view, place, next, until)
        return undefined
      }
      pauseAfter(draft, view, found, at)
    } else if (isHandler(found.definition, entry)) {
      // A handler has nothing to do.
      view.row.tasks--
      emitSkipped(draft, view, hopPath(place.base, row.hop), place.parent.kind === 'group', found, at, at + 1)
    } else {
      send(draft, view, place, next)
      return undefined
    }
    at++
  }
}

/** Sends the task of the entry that a chain is at, unless the pipeline is paused: then it is held. */
export function send(draft: Draft, view: RunView, place: Place, row: ChainRow): void {
  const path = pathAt(place, row)
  if (view.row.status === 'PAUSED' && !view.hasRun) {
    writeChain(draft, view, place, { ...row, phase: 'held', since: age(draft, view) })
    draft.put(view.keys.held(path), { path })
    return
  }
  const found = entriesOf(draft, view, place, row.hop)
  const { definition } = found
  const entry = entryAt(found, row) as TaskEntry | EachEntry
  writeChain(draft, view, place, { ...row, phase: 'sent', since: age(draft, view) })
  view.row.out++
  const dispatch: Dispatch = {
    id: view.row.id,
    run: view.row.run,
    path,
    attempt: row.attempt,
    resends: row.resends,
    ...(isTask(entry)
      ? { step: definition.steps[entry[0]]!, args: entry[1] }
      : { step: eachStep(definition, entry), args: eachArgs(definition, entry) }),
    input: row.input,
    state: stateAt(draft, view, place, row),
    meta: view.row.meta,
    group: undefined,
    child: 0,
    shared: row.resends > 0,
    final: row.saved !== undefined,
    following: isTask(entry) && isPure(definition, entry) && mayGoOn(row) ? followingOf(found, row.at) : undefined,
  }
  draft.dispatches.push(dispatch)
  emitSent(draft, view, dispatch)
}

/** What has been lost runs alone (F3), and so does a finally. */
const mayGoOn = ({ saved, resends }: ChainRow): boolean => saved === undefined && resends === 0

/** How old the pipeline is. */
const age = (draft: Draft, { row }: RunView): number => draft.now - row.createdAt

/** Goes on with the entry that a chain is at, as if it had just become due. */
export function proceed(draft: Draft, view: RunView, place: Place, row: ChainRow): void {
  const entry = entriesOf(draft, view, place, row.hop).entries[row.at]
  const hasBegun = !(row.saved === undefined && isEvent(entry!))
  if (row.attempt === 0)
    return startEntry(draft, view, place, { ...row, trail: beginning(age(draft, view)) }, row.at, row.input)
  if (!hasBegun) return startEntry(draft, view, place, row, row.at, row.input)
  // A sleep that was waited for has ended.
  if (row.saved === undefined && isSleep(entry!)) goOn(draft, view, place, row, row.input)
  else send(draft, view, place, row)
}

/** Lets the chain's entry wait for its time; the timer is a row, so it survives everything. */
export function waitUntil(draft: Draft, view: RunView, place: Place, row: ChainRow, due: number): void {
  writeChain(draft, view, place, { ...row, phase: 'waiting', since: age(draft, view) })
  const path = pathAt(place, row)
  draft.putTimer(view.keys.timer(due, `d${path}`), {
    kind: 'dispatch',
    id: view.row.id,
    run: view.row.run,
    path,
    attempt: row.attempt,
  })
}

/** Waits for an event: until one is offered and taken (event-waits.ts), or its time is over. */
function startWait(
  draft: Draft,
  view: RunView,
  place: Place,
  row: ChainRow,
  { event: key, pipeline, match, timeoutMs }: EventEntry,
): Next | undefined {
  const { id, run } = view.row
  const full = timeoutMs === undefined ? undefined : timersFull(draft, id)
  if (full !== undefined) return { do: 'fail', place, row, failure: failureValue({ ...full }) }
  const path = pathAt(place, row)
  const address = eventAddress(pipeline === 1 ? id : undefined, key)
  const dueAt = timeoutMs === undefined ? 0 : draft.now + timeoutMs
  writeChain(draft, view, place, { ...row, phase: 'event', since: age(draft, view), input: NONE })
  view.row.waits++
  draft.put(view.keys.wait(path), { id, run, path, address, key, dueAt, timeoutMs: timeoutMs ?? 0 })
  if (dueAt > 0) draft.putTimer(view.keys.timer(dueAt, `w${path}`), { kind: 'event', id, run, path })
  draft.tellBox(address, { type: 'wait', address, id, run, path, match })
  return undefined
}

function pauseAfter(draft: Draft, view: RunView, { definition, entries }: Entries, at: number): void {
  const entry = entries[at]
  if (entry === undefined || view.row.status !== 'RUNNING') return
  if (pausesAfter(definition, entry)) changeStatus(draft, view, 'PAUSED')
}

// ---- Failing -------------------------------------------------------------------------------------------------------

/** Looks for the next handler of the same chain. */
function fail(draft: Draft, view: RunView, place: Place, row: ChainRow, failure: Value): Next | undefined {
  const found = entriesOf(draft, view, place, row.hop)
  const { definition, entries } = found
  pauseAfter(draft, view, found, row.at)
  const skip = (to: number): void =>
    emitSkipped(draft, view, hopPath(place.base, row.hop), place.parent.kind === 'group', found, row.at + 1, to)
  for (let at = row.at + 1; at < entries.length; at++) {
    if (!isHandler(definition, entries[at]!)) continue
    skip(at)
    const caught: Caught[] = [...(row.caught ?? []).slice(1 - MOST_CAUGHT), [row.at, at]]
    const trail = passedBy(row, age(draft, view))
    send(draft, view, place, { ...row, at, attempt: 1, resends: 0, input: failure, caught, trail })
    return undefined
  }
  skip(entries.length)
  return toFinally(draft, view, place, row, failure, found)
}

// ---- Ending --------------------------------------------------------------------------------------------------------

function toFinally(
  draft: Draft,
  view: RunView,
  place: Place,
  row: ChainRow,
  outcome: Value,
  found: Entries,
): Next | undefined {
  if (finallyOf(place, row.hop, found) === undefined) return { do: 'end', place, row, outcome }
  sendFinally(draft, view, place, row, found.entries.length, outcome)
  return undefined
}

/** Sends the finally of a frame; `outcome` is what it has ended with. */
export function sendFinally(
  draft: Draft,
  view: RunView,
  place: Place,
  row: ChainRow,
  at: number,
  outcome: Value,
): void {
  const saved = { value: outcome, at: row.at, phase: row.phase }
  // It takes nothing; what the entry was given that has failed is for a retry.
  const input = isFailure(outcome) ? row.input : NONE
  send(draft, view, place, { ...row, at, attempt: 1, resends: 0, input, saved })
}

function end(draft: Draft, view: RunView, place: Place, row: ChainRow, outcome: Value): Next | undefined {
  const { parent } = place
  const failed = isFailure(outcome)
  const state = sharesState(place, row) ? row.state : undefined
  const mayBeNoted = view.row.finals > 0 && parent.kind !== 'root'
  if (mayBeNoted && finallyOf(place, row.hop, entriesOf(draft, view, place, row.hop)) !== undefined)
    forgetFinally(draft, view, place.base)
  if (failed) park(draft, view, place, row)
  else leave(draft, view, place, row)
  if (parent.kind === 'root') {
    if (failed) finish(draft, view, 'FAILED', outcome)
    else finish(draft, view, 'COMPLETED', outcome, treeOfRoot(draft, view, row, true))
    return undefined
  }
  if (parent.kind === 'group') {
    viewGroup(draft, view, parent.entry).markEnded(parent.index, outcome, failed ? undefined : state)
    return undefined
  }
  const caller = placeOfEntry(parent.entry)
  const callerRow = readChain(draft, view, caller)!
  if (failed) return { do: 'fail', place: caller, row: callerRow, failure: outcome }
  const merged = { ...callerRow, state: mergeState(callerRow.state, state) }
  return { do: 'go on', place: caller, row: merged, value: outcome }
}

/** What is kept of a run that ends; nothing of a lone task. */
export function treeOfRoot(draft: Draft, view: RunView, row: ChainRow, hasEnded: boolean) {
  if (draft.treeBytes === 0 || view.row.lone) return undefined
  return keptTree(entriesOf(draft, view, placeOf(ROOT), row.hop).definition, row, hasEnded, draft.treeBytes)
}

/** Whether what a chain has set of the state counts outside of it: a returned pipeline that is not inline has a state of its own. */
function sharesState({ parent }: Place, { hop, definition }: ChainRow): boolean {
  const wasReturned = parent.kind === 'frame' || hop > 0
  return !wasReturned || definition?.inline === 1
}

/** Deletes what a chain that ends has kept for itself. */
function leave(draft: Draft, view: RunView, { base, parent }: Place, row: ChainRow): void {
  // The root chain is part of the pipeline's row; a chain of a group mostly has no row at all.
  if (parent.kind === 'root' || (parent.kind === 'group' && !viewGroup(draft, view, parent.entry).isLive(parent.index)))
    return
  deletePages(draft, view, hopPath(base, row.hop), row.definition)
  draft.delete(view.keys.chain(base))
}

/** Keeps what a chain that failed would need to be started again where it failed, if the pipeline is retried. */
function park(draft: Draft, view: RunView, place: Place, row: ChainRow): void {
  const { parent } = place
  if (view.row.lone || (parent.kind === 'group' && viewGroup(draft, view, parent.entry).row!.returnExceptions))
    return leave(draft, view, place, row)
  const phase = row.phase === 'group' || row.phase === 'frame' ? row.phase : 'failed'
  if (parent.kind === 'root') {
    view.row.chain = { ...row, phase }
    return
  }
  // At its first entry, as it began: there is nothing to keep.
  if (parent.kind === 'group' && !viewGroup(draft, view, parent.entry).isLive(parent.index)) return
  view.row.litter = true
  draft.put(view.keys.chain(place.base), { ...row, phase })
}

/** Task entries of a template. */
function tasksIn(chain: Chain): number {
  let tasks = 0
  for (const entry of chain) {
    if (isTask(entry)) tasks++
    else if (isEach(entry)) tasks += tasksIn(entry.each)
    else if (isGroup(entry)) for (const inner of entry.chains ?? []) tasks += tasksIn(inner)
  }
  return tasks
}

// ---- Returned pipelines --------------------------------------------------------------------------------------------

/** The task at an open entry returned a pipeline: it takes the place of the task's result, or, in tail position, of the whole chain. */
export function startFrame(draft: Draft, view: RunView, open: OpenEntry, packed: PackedDefinition): void {
  const { row } = open
  const pages = openPages(draft, view, packed)
  const document = pages.document
  const found = entriesOf(draft, view, open, row.hop)
  const { definition, entries } = found
  const entry = entries[row.at]!
  // What a fan-out stands for is part of this pipeline.
  const isInline = document.inline === 1 || isEach(entry)
  view.row.tasks += packed.tasks
  if (isEach(entry)) {
    // Its template was counted once, and running it as one task.
    view.row.tasks -= tasksIn(entry.each)
    view.row.done--
  }
  const isLast = row.at === entries.length - 1
  const hasFinally = finallyOf(open, row.hop, found) !== undefined
  // Whether what the chain has set of the state is looked at again once the returned pipeline has ended.
  const keepsState = row.state !== undefined && open.parent.kind !== 'root' && sharesState(open, row)
  // The caller's frame is done with: recursion costs a step each, neither rows nor depth.
  const isTail = isLast && !pausesAfter(definition, entry) && !hasFinally && (isInline || !keepsState)
  const base = isTail ? open.base : framePath(open.path)
  if (base.length > MOST_PATH) {
    const failure = failureValue({
      code: 'TASKS_DEFINITION_TOO_LARGE',
      name: 'TaskError',
      message: `pipelines are returned too deep within each other (a path of ${base.length} characters; at most ${MOST_PATH}): return them in tail position, as the last entry, without a finally`,
    })
    return failEntry(draft, view, open, row, failure)
  }
  const hop = isTail ? row.hop + 1 : 0
  // In place of a pipeline that has a state of its own, sharing goes no further than that one did.
  const shares = isInline && (!isTail || sharesState(open, row))
  const started: ChainRow = {
    ...firstStep(NONE),
    hop,
    definition: { ...sourceOf(packed), ...(shares ? { inline: 1 } : {}) },
    state: isTail && isInline ? mergeState(row.state, initialState(document)) : initialState(document),
    trail: beginning(age(draft, view)),
  }
  const place = isTail ? (open as Place) : placeOf(base)
  if (isTail) deletePages(draft, view, hopPath(base, row.hop), row.definition)
  else writeChain(draft, view, open, { ...row, phase: 'frame', since: age(draft, view), input: NONE })
  writePages(draft, view, hopPath(base, hop), pages)
  emitReturned(draft, view, hopPath(base, hop), frameOf(hopPath(open.base, row.hop)), packed.tasks, document)
  writeChain(draft, view, place, started)
  if (document.finally !== undefined && place.parent.kind !== 'root') noteFinally(draft, view, place.base)
  startEntry(draft, view, place, started, 0, argsValue(document.input))
}
