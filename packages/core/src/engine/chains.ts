// What happens to entries: tasks return and fail, timers fire, groups and pauses end. advance.ts says how their chains go on.
//
// C1. An entry is open while its chain's row says so; what arrives for any other entry, hop or attempt changes nothing.
// C2. A success of any attempt counts while the entry is open; a failure counts only if its attempt is the current one.
// C3. Nothing here reads a clock or draws a random number: `draft.now` and the run's identity decide everything.
// C4. Of a run that is being cancelled nothing goes on but its finallys.
import { crc32 } from 'node:zlib'
import { isTask } from '../definition'
import { retryDelay } from '../retry'
import { mergeState, stateValues, type State } from '../state'
import { failureValue, Kind, withSuppressed, type Value } from '../value'
import { decodeDefinitionValue } from '../wire/packed-definition'
import type { Verdict } from '../wire/inbox-message'
import { failEntry, finallyEnded, goOn, proceed, send, startEntry, startFrame, waitUntil } from './advance'
import { cancelledFinallyEnded, settledWhileCancelling } from './cancel'
import type { Dispatch, Draft, RunView } from './draft'
import { emitEnded, emitFailed, noteScheduled } from './emit'
import { splitEntry, splitHop } from './paths'
import { entriesOf, entryAt, openEntry, pathAt, placeOf, readChain, sentEntry, type OpenEntry } from './places'
import type { ChainRow } from './rows'
import { timersFull } from './timer-limit'

const LONE_PIPELINE = failureValue({
  code: 'TASKS_UNSUPPORTED',
  name: 'TaskError',
  message: 'a lone task returned a pipeline: submit it as a pipeline instead of enqueueing it',
})

/** A task has returned; `changes` is what it has set of the pipeline's state. */
export function entrySucceeded(draft: Draft, run: RunView, path: string, value: Value, changes: State): void {
  const open = openEntry(draft, run, path)
  if (open === undefined) return
  // It has been settled already, and its message comes again; or it waits for an attempt that nobody will make.
  if (isCancelled(run, open) && open.row.phase !== 'sent') return
  close(draft, run, open)
  run.row.attempts++
  run.row.done++
  if (!isCancelled(run, open)) emitEnded(draft, run, open, 'completed')
  if (open.row.saved !== undefined) return endFinally(draft, run, open, undefined)
  if (isCancelled(run, open)) return settledWhileCancelling(draft, run, open)
  if (value.kind === Kind.pipeline && run.row.lone) return failEntry(draft, run, open, open.row, LONE_PIPELINE)
  // Before it is kept, whatever it is merged with: a fan-in would find out too late.
  if (changes !== undefined) stateValues(changes)
  const row = changes === undefined ? open.row : { ...open.row, state: mergeState(open.row.state, changes) }
  if (value.kind === Kind.pipeline) startFrame(draft, run, { ...open, row }, decodeDefinitionValue(value.bytes))
  else goOn(draft, run, open, row, value)
}

/**
 * A task has returned, and its worker has gone on with `next`, of which it reports in the same message (F1): nobody else is to run that.
 * If the entry is open no more, what has become of it since counts.
 */
export function entryPassed(draft: Draft, run: RunView, path: string, value: Value, next: string): void {
  if (openEntry(draft, run, path) === undefined) return
  run.hasRun = true
  entrySucceeded(draft, run, path, value, undefined)
  run.hasRun = false
  const sent = draft.dispatches.at(-1)
  if (sent?.path === next && sent.id === run.row.id) draft.dispatches.pop()
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
  if (isCancelled(run, open)) return settledWhileCancelling(draft, run, open)
  const retry = policyOf(draft, run, open) ?? verdict.retry
  if (verdict.retryable && retry !== undefined && attempt <= retry.maxRetries) {
    const chance = crc32(`${run.row.run}${path}#${attempt}`) / 0x1_0000_0000
    const due = draft.now + Math.ceil(verdict.retryAfterMs ?? retryDelay(retry, attempt, chance))
    const full = timersFull(draft, run.row.id)
    if (full !== undefined) return failedForGood(draft, run, open, withSuppressed(failureValue({ ...full }), failure))
    emitFailed(draft, run, open, failure, due)
    const row: ChainRow = { ...open.row, attempt: attempt + 1, resends: 0 }
    noteScheduled(draft, run, { ...open, row }, due, retry)
    return waitUntil(draft, run, open, row, due)
  }
  failedForGood(draft, run, open, failure)
}

function failedForGood(draft: Draft, run: RunView, open: OpenEntry, failure: Value): void {
  emitFailed(draft, run, open, failure)
  if (open.row.saved !== undefined) endFinally(draft, run, open, failure)
  else failEntry(draft, run, open, open.row, failure)
}

function policyOf(draft: Draft, run: RunView, { row, ...place }: OpenEntry) {
  const found = entriesOf(draft, run, place, row.hop)
  const entry = entryAt(found, row)
  return isTask(entry) ? found.definition.steps[entry[0]]!.retry : undefined
}

function endFinally(draft: Draft, run: RunView, open: OpenEntry, failure: Value | undefined): void {
  if (run.row.status === 'CANCELLING') cancelledFinallyEnded(draft, run, open, failure)
  else finallyEnded(draft, run, open, open.row, failure)
}

/** A timer has fired for this attempt. */
export function entryDue(draft: Draft, run: RunView, path: string, attempt: number): void {
  const open = openEntry(draft, run, path)
  if (open === undefined || open.row.phase !== 'waiting' || open.row.attempt !== attempt) return
  if (isCancelled(run, open)) return
  proceed(draft, run, open, open.row)
}

/** An entry that became due while the pipeline was paused may go on. */
export function entryReleased(draft: Draft, run: RunView, path: string): void {
  draft.delete(run.keys.held(path))
  const open = openEntry(draft, run, path)
  if (open !== undefined && open.row.phase === 'held') proceed(draft, run, open, open.row)
}

/** Sends an outstanding attempt again: whoever had it has died, or the broker has forgotten it. */
export function resendEntry(draft: Draft, run: RunView, path: string, attempt: number): void {
  const open = sentEntry(draft, run, path, attempt)
  if (open === undefined) return
  close(draft, run, open)
  if (isCancelled(run, open)) settledWhileCancelling(draft, run, open)
  else send(draft, run, open, { ...open.row, resends: open.row.resends + 1 })
}

/** What was handed to a process that could not start it goes through the shared queue. */
export function requeueEntry(draft: Draft, run: RunView, dispatch: Dispatch): void {
  const { id, path, attempt } = dispatch
  const open = sentEntry(draft, run, path, attempt)
  if (open === undefined) return
  if (isCancelled(run, open)) {
    close(draft, run, open)
    settledWhileCancelling(draft, run, open)
  } else if (run.row.status === 'PAUSED') {
    close(draft, run, open)
    send(draft, run, open, open.row)
  } else {
    draft.closed.push({ id, run: dispatch.run, path, attempt, group: undefined, child: 0 })
    draft.dispatches.push({ ...dispatch, shared: true })
  }
}

/** Of a run that is being cancelled nothing but finallys goes on. */
function isCancelled({ row }: RunView, open: OpenEntry): boolean {
  return row.status === 'CANCELLING' && open.row.saved === undefined
}

function close(draft: Draft, run: RunView, { path, row, parent }: OpenEntry): void {
  if (run.row.notes?.[path] !== undefined) {
    const { [path]: _, ...others } = run.row.notes
    run.row.notes = Object.keys(others).length === 0 ? undefined : others
  }
  if (row.phase !== 'sent') return
  run.row.out--
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

/** Starts the first entry of the root chain with this value, now or at its time. */
export function startRoot(draft: Draft, run: RunView, input: Value, runAt: number): void {
  const place = placeOf('')
  const row: ChainRow = { ...run.row.chain!, input }
  if (runAt <= draft.now) return startEntry(draft, run, place, row, 0, input)
  noteScheduled(draft, run, { ...place, path: pathAt(place, row), row }, runAt)
  waitUntil(draft, run, place, { ...row, attempt: 0 }, runAt)
}

/** The group that a chain waited for has ended. Whether the chain has gone on: if not, the group may be needed again by a retry. */
export function groupEnded(
  draft: Draft,
  run: RunView,
  entry: string,
  value: Value,
  failed: boolean,
  changes: State,
): boolean {
  const { chain, index } = splitEntry(entry)!
  const { base, hop } = splitHop(chain)
  const place = placeOf(base)
  const row = readChain(draft, run, place)
  if (row === undefined || row.hop !== hop || row.at !== index || row.phase !== 'group') return true
  if (!failed) {
    goOn(draft, run, place, { ...row, state: mergeState(row.state, changes) }, value)
    return true
  }
  failEntry(draft, run, place, row, value)
  const after = place.parent.kind === 'root' ? run.row.chain : draft.get<ChainRow>(run.keys.chain(base))
  return after === undefined || after.hop !== hop || (after.saved?.at ?? after.at) !== index
}
