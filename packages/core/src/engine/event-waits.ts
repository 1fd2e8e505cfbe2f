// A pipeline that waits for an event: the entry is in the phase `event`, a mark says where it waits, and nothing else is held for it.
//
// Whether it takes an event that it is offered is decided in the commit that folds the offer: it may have waited for too long, or have been cancelled.
import { failureValue, type Value } from '../value'
import type { OfferMessage } from '../wire/inbox-message'
import { failEntry, goOn } from './advance'
import type { Draft, RunView } from './draft'
import { reachedEntry, type OpenEntry } from './places'
import { pipelineKey } from './row-keys'
import type { PipelineRow, WaitMark } from './rows'

/** Events that a pipeline remembers to have taken: an offer that comes again is answered as before. */
const MOST_TAKEN = 64

/** A box offers an event. */
export function offered(draft: Draft, { address, id, run, path, number, value }: OfferMessage, remote: boolean): void {
  const accepted = accept(draft, { address, id, run, path, number, value }, remote)
  draft.tellBox(address, { type: 'taken', address, id, run, path, number, accepted })
}

function accept(
  draft: Draft,
  { address, id, run: runId, path, number, value }: Omit<OfferMessage, 'type'>,
  remote: boolean,
): boolean {
  // Looking is not changing.
  if (draft.get<PipelineRow>(pipelineKey(id))?.run !== runId) return false
  const run = draft.run(id)!
  const name = `${address}@${number}${path}`
  if (run.row.taken?.includes(name)) return true
  const open = waitingEntry(draft, run, path)
  if (open === undefined || run.row.status === 'CANCELLING') return false
  endWait(draft, run, path)
  if (remote) run.row.taken = [...(run.row.taken ?? []), name].slice(-MOST_TAKEN)
  goOn(draft, run, open, open.row, value)
  return true
}

/** It has waited for as long as it was to. */
export function waitTimedOut(draft: Draft, run: RunView, path: string): void {
  failWait(draft, run, path, ({ key, timeoutMs }) => {
    const message = `no event "${key}" came within ${timeoutMs} ms`
    return failureValue({ code: 'TASKS_TIMEOUT', name: 'TaskError', message })
  })
}

/** It waits no longer: its entry fails. */
export function failWait(draft: Draft, run: RunView, path: string, failureOf: (mark: WaitMark) => Value): void {
  const mark = draft.get<WaitMark>(run.keys.wait(path))
  const open = waitingEntry(draft, run, path)
  if (mark === undefined || open === undefined || run.row.status === 'CANCELLING') return
  unwait(draft, mark)
  endWait(draft, run, path)
  failEntry(draft, run, open, open.row, failureOf(mark))
}

/** An offer that its pipeline could not take. */
export function declined(draft: Draft, { address, id, run, path, number }: OfferMessage): void {
  draft.tellBox(address, { type: 'taken', address, id, run, path, number, accepted: false })
}

/** Nobody waits here any more. */
export function unwait(draft: Draft, { address, id, run, path }: WaitMark): void {
  draft.tellBox(address, { type: 'unwait', address, id, run, path })
}

function endWait(draft: Draft, run: RunView, path: string): void {
  const key = run.keys.wait(path)
  const mark = draft.get<WaitMark>(key)
  draft.delete(key)
  run.row.waits--
  if (mark !== undefined && mark.dueAt > 0) draft.dropTimer(run.keys.timer(mark.dueAt, `w${path}`))
}

/** The chain that waits at this entry, if it does. */
function waitingEntry(draft: Draft, run: RunView, path: string): OpenEntry | undefined {
  const reached = reachedEntry(draft, run, path)
  return reached?.row.phase === 'event' ? reached : undefined
}
