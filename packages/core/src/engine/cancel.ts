// Cancelling: what is with workers is waited for, for a while; then finallys run, those of returned pipelines first, and the run is CANCELLED.
//
// From the commit that folds the command on nothing else of the run starts, whatever workers have heard of it.
import { failureValue, withSuppressed, type Value } from '../value'
import { sendFinally, treeOfRoot } from './advance'
import type { Draft, RunView } from './draft'
import { changeStatus, emitEnded } from './emit'
import { finish } from './finish'
import { forgetFinally } from './frames'
import { entriesOf, finallyOf, placeOf, readChain, writeChain, type OpenEntry } from './places'
import { ROOT } from './paths'
import type { JobRow, MarkRow } from './rows'

export const CANCEL_GRACE_MS = 30_000

export function cancelRun(draft: Draft, run: RunView, graceMs: number): void {
  const { row, keys } = run
  changeStatus(draft, run, 'CANCELLING')
  draft.cancelled.push({ id: row.id, run: row.run })
  if (row.out === 0) return startFinals(draft, run)
  draft.put(keys.timer(draft.now + graceMs, 'c'), { kind: 'grace', id: row.id, run: row.run })
}

/** A worker has reported an entry of a run that is being cancelled: whatever it reported, its chain ends here. */
export function settledWhileCancelling(draft: Draft, run: RunView, open: OpenEntry): void {
  const { row, ...place } = open
  emitEnded(draft, run, open, 'cancelled')
  writeChain(draft, run, place, { ...row, phase: 'held' })
  startFinalsIfQuiet(draft, run)
}

/** Nothing of the run is with a worker, or has not been heard of for too long. */
export function startFinals(draft: Draft, run: RunView): void {
  const { row } = run
  if (row.status !== 'CANCELLING' || row.finishing) return
  row.finishing = true
  if (row.finals === 0) startRootFinally(draft, run)
  else draft.startJob(run, { kind: 'finals', path: '' })
}

/** Runs the finallys of these chains. */
export function finalsDue(draft: Draft, job: JobRow, bases: readonly string[], done: boolean): void {
  if (done) draft.endJob(job)
  const run = draft.runOf(job)
  if (run?.row.status !== 'CANCELLING') return
  for (const base of bases) {
    // Else it has ended since it was looked for.
    const isOpen = draft.get<MarkRow>(run.keys.final(base)) !== undefined
    if (isOpen && !startFinally(draft, run, base)) forgetFinally(draft, run, base)
  }
  if (done && run.row.finals === 0) startRootFinally(draft, run)
}

function startFinalsIfQuiet(draft: Draft, run: RunView): void {
  if (run.row.out === 0) startFinals(draft, run)
}

function startRootFinally(draft: Draft, run: RunView): void {
  if (!startFinally(draft, run, ROOT)) end(draft, run, cancelled(run))
}

function end(draft: Draft, run: RunView, outcome: Value): void {
  const { chain } = run.row
  const at = chain?.saved?.at ?? chain?.at ?? 0
  finish(draft, run, 'CANCELLED', outcome, chain && treeOfRoot(draft, run, { ...chain, at }, false))
}

/** Whether there is one, running now. */
function startFinally(draft: Draft, run: RunView, base: string): boolean {
  const place = placeOf(base)
  const row = readChain(draft, run, place)
  if (row === undefined) return false
  // It was running already when the run was cancelled, or is held by a pause.
  if (row.saved !== undefined && row.phase === 'sent') return true
  const found = entriesOf(draft, run, place, row.hop)
  if (finallyOf(place, row.hop, found) === undefined) return false
  const outcome = row.saved?.value ?? cancelled(run)
  sendFinally(draft, run, place, { ...row, saved: undefined }, found.entries.length, outcome)
  return true
}

export function cancelledFinallyEnded(
  draft: Draft,
  run: RunView,
  { row, ...place }: OpenEntry,
  failure: Value | undefined,
): void {
  if (place.parent.kind === 'root') {
    const outcome = cancelled(run)
    return end(draft, run, failure === undefined ? outcome : withSuppressed(outcome, failure))
  }
  writeChain(draft, run, place, { ...row, phase: 'held', saved: undefined })
  forgetFinally(draft, run, place.base)
  if (!run.row.finishing) startFinalsIfQuiet(draft, run)
  else if (run.row.finals === 0) startRootFinally(draft, run)
}

function cancelled({ row }: RunView): Value {
  return failureValue({ code: 'TASKS_CANCELLED', name: 'TaskError', message: `the pipeline "${row.id}" was cancelled` })
}
