// Where events and those who wait for them meet: a box for each address, with rows of its own in the partition of that address. Pipelines wait in other
// partitions, so both sides talk by messages, which may come twice and in any order.
//
//   event    from whoever sends it: wakes all who wait, or is kept until somebody does
//   wait     a pipeline waits      unwait   … no longer
//   offer    to a pipeline: take this                taken    its answer
//
// B1. An event is offered to each waiter at most once, and counts as taken if one of them has said so. Else it is kept again, until its time is over.
// B2. An event that is kept, or is for one (`forOne`), is offered to one waiter at a time; any other that comes is offered to all who were registered before it.
// B3. Of the jobs that look for those who take an event only the latest counts: it has passed by nobody who came since.
// B4. Whatever is repeated finds the row that it would make, or the trace of one, and changes nothing.
import { partitionOf } from '../ids'
import type { RowKey } from '../transport'
import type { EventMessage, WaiterName } from '../wire/inbox-message'
import type { Draft } from './draft'
import { emitSentEvent } from './emit'
import { eventAddress } from './event-address'
import { BoxKeys, RunKeys } from './row-keys'
import type { BoxRow, JobRow, KeptEvent, SeenEvent, Waiter } from './rows'

/** How long what may come again is remembered after it is done with. */
const TRACE_MS = 3_600_000

type WakeJob = JobRow & { readonly kind: 'wake' }
type SeekJob = JobRow & { readonly kind: 'seek' }

export function eventSent(draft: Draft, message: EventMessage): void {
  const { pipelineId, key, eventId, value, fields, forOne, keepMs } = message
  const address = eventAddress(pipelineId, key)
  const keys = new BoxKeys(address)
  if (draft.get<SeenEvent>(keys.seen(eventId)) !== undefined) return
  const box = editBox(draft, keys)
  const number = box.next++
  box.seen++
  emitSentEvent(draft, message)
  draft.put(keys.seen(eventId), { number })
  draft.put(timerOf(address, draft.now + keepMs, keys.seenRow(eventId)), {
    kind: 'forget',
    id: address,
    run: '',
    path: keys.seenRow(eventId),
  })
  const event: KeptEvent = {
    number,
    eventId,
    value,
    fields,
    forOne,
    search: 'none',
    round: 0,
    out: 0,
    taken: false,
    kept: false,
  }
  draft.put(keys.event(number), event)
  if (box.waiting > 0) search(draft, address, event, forOne ? 'one' : 'all')
  else keep(box, event)
}

/** A page of waiters is looked at for an event. Of those that do not match nothing is written. */
export function woken(draft: Draft, job: WakeJob, waiters: readonly RowKey[], done: boolean): void {
  const keys = new BoxKeys(job.id)
  const sent = draft.get<KeptEvent>(keys.event(Number(job.path)))
  if (sent === undefined || sent.search === 'none') return draft.endJob(job)
  // The row of the job is that of a later round.
  if (!isSearched(sent, job)) return
  const isForAll = sent.search === 'all'
  if (!isForAll && sent.out > 0) {
    // Somebody who came meanwhile is being asked.
    editEvent(draft, keys, sent.number)!.search = 'none'
    return draft.endJob(job)
  }
  const takers = waiters.filter((key) => {
    const waiter = draft.get<Waiter>(key)
    if (waiter === undefined || !isFree(waiter) || (isForAll && waiter.number > sent.number)) return false
    return matches(waiter, sent)
  })
  if (takers.length === 0 && !done) return
  const event = editEvent(draft, keys, sent.number)!
  const box = editBox(draft, keys)
  for (const key of isForAll ? takers : takers.slice(0, 1))
    offer(draft, keys.address, box, event, editWaiter(draft, key)!)
  if (!isForAll && takers.length > 0) {
    event.search = 'none'
    return draft.endJob(job)
  }
  if (!done) return
  draft.endJob(job)
  event.search = 'none'
  settle(draft, keys, box, event)
  dropIfEmpty(draft, keys, box)
}

/** Whether this job looks for those who take it: one that does no longer may have begun another, from the front. */
export const isSearched = ({ search, round }: KeptEvent, job: WakeJob): boolean =>
  search !== 'none' && round === job.round

/** A page of kept events is looked at for a waiter. */
export function sought(draft: Draft, job: SeekJob, events: readonly number[], done: boolean): void {
  const keys = new BoxKeys(job.id)
  const row = keys.row(job.path)
  const waiter = draft.get<Waiter>(row)
  if (waiter === undefined || !isFree(waiter)) return draft.endJob(job)
  const found = events.find((number) => {
    const event = draft.get<KeptEvent>(keys.event(number))
    return event?.kept === true && event.out === 0 && matches(waiter, event)
  })
  if (found !== undefined)
    offer(draft, keys.address, editBox(draft, keys), editEvent(draft, keys, found)!, editWaiter(draft, row)!)
  if (found !== undefined || done) draft.endJob(job)
}

/** Those of these who wait still. */
export function waitersAt(draft: Draft, keys: readonly RowKey[]): readonly Waiter[] {
  return keys.flatMap((key) => {
    const waiter = draft.get<Waiter>(key)
    return waiter !== undefined && isFree(waiter) ? [waiter] : []
  })
}

/** A pipeline waits. */
export function waited(draft: Draft, address: string, name: WaiterName, match: Waiter['match']): void {
  const keys = new BoxKeys(address)
  const path = keys.waiterRow(name)
  const row = keys.row(path)
  // It waits already, or no longer: what was said later may have come first, and this may come again.
  if (draft.get<Waiter>(row) !== undefined) return
  const box = editBox(draft, keys)
  box.waiting++
  box.lastWait = box.next++
  draft.put(row, { ...name, number: box.lastWait, match, offered: 0, gone: false })
  if (box.kept > 0) draft.put(jobKey(address, 'seek', path), { kind: 'seek', id: address, run: '', gen: 0, path })
}

/** `remote`: it came by a message, which may come again. */
export function unwaited(draft: Draft, address: string, name: WaiterName, remote: boolean): void {
  const keys = new BoxKeys(address)
  const row = keys.waiter(name)
  const waiter = draft.get<Waiter>(row)
  // Its answer is on the way.
  if (waiter !== undefined && waiter.offered > 0) return
  if (waiter === undefined || waiter.gone) {
    if (remote && waiter === undefined) leaveTrace(draft, keys, name)
    return
  }
  const box = editBox(draft, keys)
  box.waiting--
  remove(draft, keys, name, remote)
  dropIfEmpty(draft, keys, box)
}

/** A waiter answers what it was offered. */
export function answered(
  draft: Draft,
  address: string,
  name: WaiterName,
  number: number,
  accepted: boolean,
  remote: boolean,
): void {
  const keys = new BoxKeys(address)
  const waiter = draft.get<Waiter>(keys.waiter(name))
  if (waiter === undefined || waiter.offered !== number) return
  const box = editBox(draft, keys)
  box.offered--
  remove(draft, keys, name, remote)
  const event = editEvent(draft, keys, number)
  if (event !== undefined) {
    event.out--
    if (accepted) event.taken = true
    settle(draft, keys, box, event)
  }
  dropIfEmpty(draft, keys, box)
}

/** The time of an event, or of the trace of a waiter, is over. */
export function forgotten(draft: Draft, address: string, path: string): void {
  const keys = new BoxKeys(address)
  const row = keys.row(path)
  if (!keys.isSeen(row)) {
    if (draft.get<Waiter>(row)?.gone) forgetWaiter(draft, keys, row)
    return
  }
  const seen = draft.get<SeenEvent>(row)
  if (seen === undefined) return
  draft.delete(row)
  const box = editBox(draft, keys)
  box.seen--
  const event = editEvent(draft, keys, seen.number)
  if (event !== undefined) {
    // Whoever is being asked may still take it; nobody else.
    event.taken = true
    settle(draft, keys, box, event)
  }
  dropIfEmpty(draft, keys, box)
}

// ---- Events --------------------------------------------------------------------------------------------------------

function offer(draft: Draft, address: string, box: BoxRow, event: KeptEvent, waiter: Waiter): void {
  waiter.offered = event.number
  box.waiting--
  box.offered++
  event.out++
  if (event.kept) {
    event.kept = false
    box.kept--
  }
  const { id, run, path } = waiter
  draft.tell(partitionOf(id, draft.home.partitions), {
    type: 'offer',
    address,
    id,
    run,
    path,
    number: event.number,
    value: event.value,
  })
}

/** Nobody is asked any more: it is done with, or kept. */
function settle(draft: Draft, keys: BoxKeys, box: BoxRow, event: KeptEvent): void {
  if (event.search === 'all' || event.out > 0) return
  if (event.taken) {
    if (event.kept) box.kept--
    draft.delete(keys.event(event.number))
    return
  }
  if (event.kept) return
  keep(box, event)
  // Somebody may have come while others were asked, or has not been asked.
  if ((event.forOne || box.lastWait > event.number) && box.waiting > 0) search(draft, keys.address, event, 'one')
}

function keep(box: BoxRow, event: KeptEvent): void {
  event.kept = true
  box.kept++
}

function search(draft: Draft, address: string, event: KeptEvent, which: 'all' | 'one'): void {
  const path = String(event.number)
  event.search = which
  event.round = draft.seq
  draft.put(jobKey(address, 'wake', path), { kind: 'wake', id: address, run: '', gen: 0, path, round: event.round })
}

/** Equality at paths: of what the event shows, for its value is not opened here. */
function matches({ match }: Waiter, { fields }: KeptEvent): boolean {
  return match === undefined || Object.entries(match).every(([path, value]) => fields?.[path] === value)
}

// ---- Rows ----------------------------------------------------------------------------------------------------------

const isFree = ({ offered, gone }: Waiter): boolean => offered === 0 && !gone

function editBox(draft: Draft, keys: BoxKeys): BoxRow {
  const known = draft.edit<BoxRow>(keys.box, (box) => ({ ...box }))
  if (known !== undefined) return known
  const made: BoxRow = { next: 1, lastWait: 0, waiting: 0, offered: 0, kept: 0, seen: 0, traces: 0 }
  draft.put(keys.box, made)
  return made
}

function editEvent(draft: Draft, keys: BoxKeys, number: number): KeptEvent | undefined {
  return draft.edit<KeptEvent>(keys.event(number), (event) => ({ ...event }))
}

function editWaiter(draft: Draft, key: RowKey): Waiter | undefined {
  return draft.edit<Waiter>(key, (waiter) => ({ ...waiter }))
}

/** Local talk comes once; of what came by a message a trace is left, in case it comes again. */
function remove(draft: Draft, keys: BoxKeys, name: WaiterName, remote: boolean): void {
  if (remote) leaveTrace(draft, keys, name)
  else draft.delete(keys.waiter(name))
}

function leaveTrace(draft: Draft, keys: BoxKeys, name: WaiterName): void {
  editBox(draft, keys).traces++
  draft.put(keys.waiter(name), { ...name, number: 0, match: undefined, offered: 0, gone: true })
  const path = keys.waiterRow(name)
  draft.put(timerOf(keys.address, draft.now + TRACE_MS, path), { kind: 'forget', id: keys.address, run: '', path })
}

function forgetWaiter(draft: Draft, keys: BoxKeys, row: RowKey): void {
  const box = editBox(draft, keys)
  box.traces--
  draft.delete(row)
  dropIfEmpty(draft, keys, box)
}

function dropIfEmpty(draft: Draft, keys: BoxKeys, { waiting, offered, kept, seen, traces }: BoxRow): void {
  // Numbers begin again with the next box: nothing of this one may be left that names one.
  if (waiting + offered + kept + seen + traces === 0) draft.delete(keys.box)
}

const timerOf = (address: string, due: number, path: string): RowKey => new RunKeys(address, 0).timer(due, path)
const jobKey = (address: string, kind: 'wake' | 'seek', path: string): RowKey => new RunKeys(address, 0).job(kind, path)
