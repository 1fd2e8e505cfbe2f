// What becomes of an input that no commit can take: it is too large though it is alone, or a row that it needs is gone. What it was to start, or to end,
// fails; and where that cannot be either, the whole run does. So nothing is tried for ever, and whoever waits is told. An event that was to be given to it is for others.
import { NONE, type Value } from '../value'
import type { WaiterName } from '../wire/inbox-message'
import { failEntry } from './advance'
import type { Draft, RunView } from './draft'
import { waitersAt, woken } from './event-box'
import { declined, failWait, unwait } from './event-waits'
import { groupJoined } from './fan-in'
import { finish } from './finish'
import { viewGroup } from './groups'
import { childPath } from './paths'
import { openEntry, placeOf } from './places'
import type { Input } from './input'
import { BoxKeys, pipelineKey } from './row-keys'
import { firstStep, isOver, type JobRow, type PipelineRow, type WaitMark } from './rows'

/** Gives an event to those who wait for it. */
type Giving = Extract<Input, { readonly type: 'offer' | 'woken' | 'sought' }>

const isGiving = (input: Input): input is Giving =>
  input.type === 'offer' || input.type === 'woken' || input.type === 'sought'

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

/** In place of an input of the owner's own, or of an offer. */
export function refused(draft: Draft, input: Input, failure: Value): void {
  if (isGiving(input)) return notGiven(draft, input, (run, path) => failWait(draft, run, path, () => failure))
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
  if (isGiving(input)) {
    return notGiven(draft, input, (run, path) => {
      const mark = draft.get<WaitMark>(run.keys.wait(path))
      if (mark !== undefined) unwait(draft, mark)
      failRun(draft, run, failure)
    })
  }
  if ('job' in input) draft.endJob(input.job)
  if (input.type === 'timer') draft.fired(input.key, input.timer)
  const subject = subjectOf(input)
  const run = subject && draft.run(subject.id)
  if (run === undefined || run.row.run !== subject!.run || isOver(run.row.status)) return
  failRun(draft, run, failure)
}

function failRun(draft: Draft, run: RunView, failure: Value): void {
  finish(draft, run, run.row.status === 'CANCELLING' ? 'CANCELLED' : 'FAILED', failure)
}

/** Those who cannot go on with an event fail, and its box goes on without them. Those in other partitions are only sent a message, which cannot fail here. */
function notGiven(draft: Draft, input: Giving, fail: (run: RunView, path: string) => void): void {
  for (const { id, run: runId, path } of waitersOf(draft, input)) {
    const row = draft.get<PipelineRow>(pipelineKey(id))
    if (row?.run === runId && !isOver(row.status)) fail(draft.run(id)!, path)
  }
  if (input.type === 'offer') declined(draft, input)
  else if (input.type === 'woken') woken(draft, input.job, [], input.done)
  else draft.endJob(input.job)
}

function waitersOf(draft: Draft, input: Giving): readonly WaiterName[] {
  if (input.type === 'offer') return [input]
  return waitersAt(draft, input.type === 'woken' ? input.waiters : [new BoxKeys(input.job.id).row(input.job.path)])
}
