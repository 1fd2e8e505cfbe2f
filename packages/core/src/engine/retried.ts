// A failed pipeline is retried: a new run of the same id starts where the old one failed, and what had ended well stays as it is.
//
// A chain that fails leaves its row, a group its results: from the root they lead down to every entry that failed.
import { FrameReader, FrameWriter, isFailure, NONE } from '../value'
import { proceed, startEntry } from './advance'
import type { Draft, RunView } from './draft'
import { changeStatus } from './emit'
import { expiryKey } from './finish'
import { noteFinally } from './frames'
import type { GroupView } from './groups'
import { viewGroup } from './groups'
import { childPath, framePath, ROOT } from './paths'
import { entriesOf, finallyOf, pathAt, placeOf, writeChain, type Place } from './places'
import type { Bytes, RowKey } from '../transport'
import { commitOfResults, nextRun } from './row-keys'
import { firstStep, type ChainRow, type JobRow } from './rows'

export function retryRun(draft: Draft, run: RunView): void {
  const { row } = run
  draft.delete(expiryKey(run))
  row.run = nextRun(row.run)
  changeStatus(draft, run, 'RUNNING')
  draft.count('live', 1)
  row.outcome = NONE
  row.finishedAt = 0
  restart(draft, run, placeOf(ROOT), row.chain!)
}

/** Starts a chain again at the entry that failed, or goes down to what failed below it. */
function restart(draft: Draft, run: RunView, from: Place, failed: ChainRow): void {
  let place = from
  let row: ChainRow = { ...failed, attempt: 1, resends: 0 }
  for (;;) {
    const isRoot = place.parent.kind === 'root'
    if (!isRoot && finallyOf(place, row.hop, entriesOf(draft, run, place, row.hop)) !== undefined)
      noteFinally(draft, run, place.base)
    const path = pathAt(place, row)
    if (row.phase === 'group') {
      writeChain(draft, run, place, row)
      const group = viewGroup(draft, run, path)
      // Failures that are values stay what they are: it is only joined again.
      if (group.row!.returnExceptions) return group.joinIfComplete()
      group.edit()!.reopening = true
      return draft.startJob(run, { kind: 'reopen', path, before: draft.seq })
    }
    if (row.phase !== 'frame') return proceed(draft, run, place, row)
    writeChain(draft, run, place, row)
    place = placeOf(framePath(path))
    row = { ...draft.get<ChainRow>(run.keys.chain(place.base))!, attempt: 1, resends: 0 }
  }
}

/** A row of results in which there are failures, of which at most so many chains are to be started again. */
export interface FailedPage {
  readonly key: RowKey
  readonly bytes: Bytes
  readonly most: number
}

/** How many chains of these results are to be started again. What has failed since the retry has been started again already. */
export function countFailures(
  { before }: JobRow & { readonly kind: 'reopen' },
  [key, bytes]: readonly [RowKey, Bytes],
): number {
  if (commitOfResults(key) >= before) return 0

  let count = 0
  for (const reader = new FrameReader(bytes); !reader.done;) {
    reader.number()
    if (isFailure(reader.value())) count++
  }
  return count
}

/** The chains that failed, and are to be started again; and the results that stay. */
function takeFailures({ bytes, most }: FailedPage): { readonly failed: readonly number[]; readonly kept: Bytes } {
  const failed: number[] = []
  const kept = new FrameWriter(bytes.length)
  for (const reader = new FrameReader(bytes); !reader.done;) {
    const index = reader.number()
    const value = reader.value()
    if (isFailure(value) && failed.length < most) failed.push(index)
    else kept.addNumbered(index, value)
  }
  return { failed, kept: kept.bytes() }
}

/** A step of reopening a group; without a page, the last one. */
export function reopened(draft: Draft, job: JobRow, page: FailedPage | undefined): void {
  const run = draft.runOf(job)
  const group = run === undefined || run.row.status === 'CANCELLING' ? undefined : viewGroup(draft, run, job.path)
  if (page === undefined || group?.row === undefined) draft.endJob(job)
  if (run === undefined || group?.row === undefined) return
  if (page === undefined) {
    group.edit()!.reopening = false
    // They may all have ended by now; or nothing of it had failed but the joining.
    group.joinIfComplete()
    return
  }
  const { failed, kept } = takeFailures(page)
  if (kept.length === 0) draft.delete(page.key)
  else draft.keepResults(page.key, kept)
  for (const index of failed) startAgain(draft, run, group, job.path, index)
}

function startAgain(draft: Draft, run: RunView, group: GroupView, path: string, index: number): void {
  const place = placeOf(childPath(path, index))
  const row = draft.get<ChainRow>(run.keys.chain(place.base))
  group.reopen(index, row !== undefined)
  if (row !== undefined) return restart(draft, run, place, row)
  const { input } = group.row!
  startEntry(draft, run, place, firstStep(input), 0, input)
}
