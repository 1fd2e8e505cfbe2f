// What becomes of an input that no commit can take: it is too large though it is alone, or a row that it needs is gone. What it was to start, or to end,
// fails; and where that cannot be either, the whole run does. So nothing is tried for ever, and whoever waits is told.
import { NONE, type Value } from '../value'
import { failEntry } from './advance'
import type { Draft, RunView } from './draft'
import { groupJoined } from './fan-in'
import { finish } from './finish'
import { viewGroup } from './groups'
import { childPath } from './paths'
import { openEntry, placeOf } from './places'
import type { Input } from './input'
import { firstStep, isOver, type JobRow } from './rows'

/** The run that an input is for, if it is for one alone. */
export function subjectOf(input: Input): { readonly id: string; readonly run: string } | undefined {
  if ('job' in input) return input.job
  if (input.type === 'timer') return input.timer
  const parts =
    input.type === 'outcomes'
      ? input.outcomes
      : input.type === 'resend'
        ? input.items
        : input.type === 'requeue'
          ? input.dispatches
          : []
  return parts.length === 1 ? parts[0] : undefined
}

/** In place of an input of the owner's own. */
export function refused(draft: Draft, input: Input, failure: Value): void {
  const subject = subjectOf(input)
  const run = subject && draft.run(subject.id)
  const isCurrent = run !== undefined && run.row.run === subject!.run && !isOver(run.row.status)
  if (!isCurrent || run.row.status === 'CANCELLING') return abandoned(draft, input, failure)
  if (input.type === 'joined')
    return groupJoined(draft, input.job, { ...input.joined, value: failure, failed: true, state: undefined })
  if (input.type === 'pump') return failNextChain(draft, run, input.job, failure)
  if (input.type === 'timer' && input.timer.kind === 'dispatch') {
    draft.fired(input.key, input.timer)
    return failOpen(draft, run, input.timer.path, failure)
  }
  if (input.type !== 'released') return abandoned(draft, input, failure)
  for (const path of input.paths) {
    draft.delete(run.keys.held(path))
    failOpen(draft, run, path, failure)
  }
  if (input.done) draft.endJob(input.job)
}

/** The chain that a group was to start. */
function failNextChain(draft: Draft, run: RunView, job: JobRow, failure: Value): void {
  const { path } = job
  const group = viewGroup(draft, run, path).edit()
  if (group === undefined) return draft.endJob(job)
  const index = group.next++
  if (group.next === group.size) draft.endJob(job)
  failEntry(draft, run, placeOf(childPath(path, index)), firstStep(NONE), failure)
}

/** An entry that waits for its time, or for the end of a pause. */
function failOpen(draft: Draft, run: RunView, path: string, failure: Value): void {
  const open = openEntry(draft, run, path)
  if (open !== undefined && open.row.phase !== 'sent') failEntry(draft, run, open, open.row, failure)
}

/** The run that an input is for has failed: nothing can be said of its entries. */
export function abandoned(draft: Draft, input: Input, failure: Value): void {
  if ('job' in input) draft.endJob(input.job)
  if (input.type === 'timer') draft.fired(input.key, input.timer)
  const subject = subjectOf(input)
  const run = subject && draft.run(subject.id)
  if (run === undefined || run.row.run !== subject!.run || isOver(run.row.status)) return
  finish(draft, run, run.row.status === 'CANCELLING' ? 'CANCELLED' : 'FAILED', failure)
}
