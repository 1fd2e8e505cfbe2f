// The reducer: what a message does to the rows. `(rows, input, now) → { rows, sends }`, with the rows and effects in a draft.
//
// R1. Pure: it sees the draft, the input and nothing else. Folding the same input over the same rows gives the same draft.
// R2. Idempotent by row state: an input that was folded before, or that names a run, entry or attempt which is not current, changes nothing.
// R3. It opens no value and runs no user code.
import { noPipeline, TaskError } from '../errors'
import type { RowKey } from '../transport'
import { isFailure } from '../value'
import type { Outcome, PassedEntry, Question, WaiterName } from '../wire/inbox-message'
import { finalsDue, startFinals } from './cancel'
import { entryDue, entryFailed, entryPassed, entrySucceeded, requeueEntry, resendEntry } from './chains'
import { command, released } from './control'
import { forEachRow, type Dispatch, type Draft, type RunView } from './draft'
import { eventAddress } from './event-address'
import { answered, eventSent, forgotten, sought, unwaited, waited, woken } from './event-box'
import { offered, unwait, waitTimedOut } from './event-waits'
import { groupJoined } from './fan-in'
import type { Input } from './input'
import { childPath, entryPath } from './paths'
import { takeAway } from './finish'
import { isOutstanding, noteProgress } from './places'
import { pump } from './pump'
import { refusalFor } from './queries'
import { abandoned, refused } from './refused'
import { BoxKeys, pipelineKey, RunKeys, TALLY } from './row-keys'
import { isOver, type PipelineRow, type TimerRow, type WaitMark, type WindowItem } from './rows'
import { reopened } from './retried'
import { submit } from './submit'

/** Folds one input, and what is said within the partition because of it. Throws `MissingRow` if a row is not loaded: load it and fold the batch again. */
export function step(draft: Draft, input: Input): void {
  take(draft, input, true)
  // One look finds the rows that all who are told miss: an event may wake many.
  if (draft.told.length > 0) forEachRow(toldBy(draft), (said) => take(draft, said, false))
}

function* toldBy(draft: Draft): Generator<Input> {
  for (let said = draft.told.shift(); said !== undefined; said = draft.told.shift()) yield said
}

/** `remote`: it came from outside, and may come again. */
function take(draft: Draft, input: Input, remote: boolean): void {
  switch (input.type) {
    case 'submit':
      return submit(draft, input)
    case 'outcomes':
      return forEachRow(input.outcomes, ({ id, run: runId, path, attempt, value, verdict, state, passed }) => {
        const run = draft.run(id)
        if (run === undefined || run.row.run !== runId) return
        if (passed !== undefined) allPassed(draft, run, passed, path)
        if (!isFailure(value)) entrySucceeded(draft, run, path, value, state)
        else entryFailed(draft, run, path, attempt, value, verdict ?? { retryable: false })
      })
    case 'timer':
      return timer(draft, input.key, input.timer)
    case 'pump':
      return pump(draft, input.job, input.count)
    case 'joined':
      return groupJoined(draft, input.job, input.joined)
    case 'resend':
      return forEachRow(input.items, (item) => {
        for (const { id, path, attempt } of outstandingEntries(draft, item))
          resendEntry(draft, draft.run(id)!, path, attempt)
      })
    case 'requeue':
      return forEachRow(input.dispatches, (dispatch) => requeue(draft, dispatch))
    case 'command':
      return command(draft, input)
    case 'event':
      return eventSent(draft, input)
    case 'wait':
      return waited(draft, input.address, nameOfWaiter(input), input.match)
    case 'unwait':
      return unwaited(draft, input.address, nameOfWaiter(input), remote)
    case 'offer':
      return offered(draft, input, remote)
    case 'taken':
      return answered(draft, input.address, nameOfWaiter(input), input.number, input.accepted, remote)
    case 'woken':
      return woken(draft, input.job, input.waiters, input.done)
    case 'sought':
      return sought(draft, input.job, input.events, input.done)
    case 'released':
      return released(draft, input.job, input.paths, input.done)
    case 'finals':
      return finalsDue(draft, input.job, input.bases, input.done)
    case 'reopened':
      return reopened(draft, input.job, input.page)
    case 'cleaned': {
      const { job, keys, done } = input
      const ofRun = new RunKeys(job.id, job.gen)
      forEachRow(keys, (key) => {
        const mark = ofRun.isWait(key) ? draft.get<WaitMark>(key) : undefined
        if (mark !== undefined) unwait(draft, mark)
        draft.delete(key)
      })
      if (!done) return
      draft.endJob(job)
      const row = draft.get<PipelineRow>(pipelineKey(job.id))
      if (job.whole && row?.run === job.run) draft.delete(pipelineKey(job.id))
      return
    }
    case 'refused':
      return refused(draft, input.input, input.failure)
    case 'abandoned':
      return abandoned(draft, input.input, input.failure)
    case 'query':
      return query(draft, input.question, input.replyTo, input.correlation)
    case 'undecodable':
      throw input.error
    case 'running':
      // That they run is for the owner's windows; rows keep only what the tasks say of themselves.
      for (const [id, runId, path, attempt, note] of input.items) {
        const run = note === undefined ? undefined : draft.run(id)
        if (run !== undefined && run.row.run === runId) noteProgress(draft, run, path, attempt, note!)
      }
      return
    default:
      input satisfies never
      throw new TaskError('TASKS_UNDECODABLE', 'an inbox message has an unknown type')
  }
}

/** Apart, for its closure: `take` is called for each outcome. */
function allPassed(draft: Draft, run: RunView, passed: readonly PassedEntry[], last: string): void {
  passed.forEach((one, at) => entryPassed(draft, run, one.path, one.value, passed[at + 1]?.path ?? last))
}

const nameOfWaiter = ({ id, run, path }: WaiterName): WaiterName => ({ id, run, path })

function requeue(draft: Draft, dispatch: Dispatch): void {
  const run = draft.run(dispatch.id)
  if (run !== undefined && run.row.run === dispatch.run) requeueEntry(draft, run, dispatch)
}

function timer(draft: Draft, key: RowKey, row: TimerRow): void {
  draft.fired(key, row)
  if (row.kind === 'forget') return forgotten(draft, row.id, row.path)
  const run = draft.run(row.id)
  if (run === undefined || run.row.run !== row.run) return
  switch (row.kind) {
    case 'dispatch':
      return entryDue(draft, run, row.path, row.attempt)
    case 'event':
      return waitTimedOut(draft, run, row.path)
    case 'grace':
      return startFinals(draft, run)
    case 'expire':
      return takeAway(draft, run)
  }
}

function query(draft: Draft, question: Question, replyTo: string, correlation: string): void {
  switch (question.ask) {
    case 'wait':
      for (const [id, run, fresh, hash] of question.runs) {
        const row = draft.get<PipelineRow>(pipelineKey(id))
        // What is being taken away has left its id: a submit that is still on its way begins a new run.
        if (row === undefined || (row.leaving && run !== row.run)) {
          const failure = { code: 'TASKS_NOT_FOUND', name: 'TaskError', message: noPipeline(id) }
          if (fresh !== 1) draft.reply(replyTo, { type: 'refused', id, run: run === 0 ? '' : run, failure })
          continue
        }
        const refusal = run === 0 ? undefined : refusalFor(row, { run, ...(hash === undefined ? {} : { hash }) })
        if (refusal !== undefined) {
          draft.reply(replyTo, { type: 'refused', id, run: run as string, failure: refusal })
          continue
        }
        if (run !== 0 && run !== row.run) draft.reply(replyTo, { type: 'attached', id, run, actual: row.run })
        if (!isOver(row.status)) draft.attached.push({ id, replyTo })
        else draft.reply(replyTo, { type: 'ended', id, run: row.run, status: row.status, value: row.outcome })
      }
      return
    case 'status':
    case 'describe':
    case 'list':
      draft.looks.push({ replyTo, correlation, question })
      return
  }
}

/** The entries of a window item that nobody has reported back, by the rows. */
export function outstandingEntries(
  draft: Draft,
  item: WindowItem,
): { id: string; run: string; path: string; attempt: number }[] {
  const run = draft.get<PipelineRow>(pipelineKey(item.id)) === undefined ? undefined : draft.run(item.id)
  if (run === undefined || run.row.run !== item.run) return []
  const { id } = item
  if ('path' in item)
    return isOutstanding(draft, run, item.path, item.attempt)
      ? [{ id, run: item.run, path: item.path, attempt: item.attempt }]
      : []
  const entries: { id: string; run: string; path: string; attempt: number }[] = []
  const indices = Array.from({ length: item.to - item.from }, (_, offset) => item.from + offset)
  forEachRow(indices, (index) => {
    const path = entryPath(childPath(item.group, index), 0)
    const row = isOutstanding(draft, run, path, 1)
    // A range speaks of first sends only; an entry that was sent again is an item of its own.
    if (row !== undefined && row.resends === 0) entries.push({ id, run: item.run, path, attempt: 1 })
  })
  return entries
}

/** The row of a pipeline whose id was drawn by whoever submits it: nobody else has it, but the submit may come twice. */
export function newRow(input: Input): RowKey | undefined {
  return input.type === 'submit' && input.run === input.id ? pipelineKey(input.id) : undefined
}

/** A thousand outcomes in a row may be of one pipeline. */
function rowsOfPipelines(outcomes: readonly Outcome[]): readonly RowKey[] {
  const keys: RowKey[] = []
  let last: string | undefined
  for (const { id } of outcomes) {
    if (id !== last) keys.push(pipelineKey(id))
    last = id
  }
  return keys
}

/** The rows that an input is sure, or likely, to need: so that a batch is loaded in one go. What it misses, `MissingRow` finds. */
export function needs(input: Input): readonly RowKey[] {
  switch (input.type) {
    case 'submit':
      return [TALLY, pipelineKey(input.id)]
    case 'outcomes':
      return rowsOfPipelines(input.outcomes)
    case 'timer':
      return input.timer.kind === 'forget' ? [] : [TALLY, pipelineKey(input.timer.id)]
    case 'pump':
    case 'joined':
    case 'cleaned':
    case 'released':
    case 'finals':
    case 'reopened':
      return [pipelineKey(input.job.id)]
    case 'command':
      return [pipelineKey(input.id)]
    case 'resend':
      return input.items.map(({ id }) => pipelineKey(id))
    case 'requeue':
      return input.dispatches.map(({ id }) => pipelineKey(id))
    case 'query':
      return input.question.ask === 'wait' ? input.question.runs.map(([id]) => pipelineKey(id)) : []
    case 'running':
      return input.items.flatMap(([id, , , , note]) => (note === undefined ? [] : [pipelineKey(id)]))
    case 'refused':
    case 'abandoned':
      return needs(input.input)
    case 'event':
      return [new BoxKeys(eventAddress(input.pipelineId, input.key)).box]
    case 'wait':
    case 'unwait':
    case 'taken':
      return [new BoxKeys(input.address).box, new BoxKeys(input.address).waiter(input)]
    case 'offer':
      return [pipelineKey(input.id)]
    case 'woken':
      return [new BoxKeys(input.job.id).box, new BoxKeys(input.job.id).event(Number(input.job.path)), ...input.waiters]
    case 'sought': {
      const keys = new BoxKeys(input.job.id)
      return [keys.row(input.job.path), ...input.events.map((number) => keys.event(number))]
    }
    case 'undecodable':
      return []
  }
}
