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
import type { Input } from './reducer'
import { firstStep, isOver } from './rows'

/** The run that an input is for, if it is for one alone. */
export function subjectOf(input: Input): { readonly id: string; readonly run: string } | undefined {
  switch (input.type) {
    case 'timer':
      return input.timer
    case 'pump':
    case 'joined':
    case 'released':
    case 'finals':
    case 'reopened':
    case 'cleaned':
      return input.job
    case 'outcomes':
      return input.outcomes.length === 1 ? input.outcomes[0] : undefined
    case 'resend':
      return input.items.length === 1 ? input.items[0] : undefined
    case 'requeue':
      return input.dispatches.length === 1 ? input.dispatches[0] : undefined
    default:
      return undefined
  }
}

/** In place of an input of the owner's own. */
export function refused(draft: Draft, input: Input, failure: Value): void {
  const subject = subjectOf(input)
  const run = subject && draft.run(subject.id)
  const isCurrent = run !== undefined && run.row.run === subject!.run && !isOver(run.row.status)
  if (!isCurrent || run.row.status === 'CANCELLING') return abandoned(draft, input, failure)
  switch (input.type) {
    case 'joined':
      return groupJoined(draft, input.job, { ...input.joined, value: failure, failed: true, state: undefined })
    case 'timer':
      if (input.timer.kind !== 'dispatch') break
      draft.delete(input.key)
      return failOpen(draft, run, input.timer.path, failure)
    case 'released':
      for (const path of input.paths) {
        draft.delete(run.keys.held(path))
        failOpen(draft, run, path, failure)
      }
      if (input.done) draft.endJob(input.job)
      return
    case 'pump': {
      const { path } = input.job
      const group = viewGroup(draft, run, path).edit()
      if (group === undefined) break
      const index = group.next++
      if (group.next === group.size) draft.endJob(input.job)
      return failEntry(draft, run, placeOf(childPath(path, index)), firstStep(NONE), failure)
    }
  }
  abandoned(draft, input, failure)
}

/** An entry that waits for its time, or for the end of a pause. */
function failOpen(draft: Draft, run: RunView, path: string, failure: Value): void {
  const open = openEntry(draft, run, path)
  if (open !== undefined && open.row.phase !== 'sent') failEntry(draft, run, open, open.row, failure)
}

/** The run that an input is for has failed: nothing can be said of its entries. */
export function abandoned(draft: Draft, input: Input, failure: Value): void {
  if ('job' in input) draft.endJob(input.job)
  if (input.type === 'timer') draft.delete(input.key)
  const subject = subjectOf(input)
  const run = subject && draft.run(subject.id)
  if (run === undefined || run.row.run !== subject!.run || isOver(run.row.status)) return
  finish(draft, run, run.row.status === 'CANCELLING' ? 'CANCELLED' : 'FAILED', failure)
}
