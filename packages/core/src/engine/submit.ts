// What an owner does with a submit: a new run, the run that is there, or a refusal.
import { initialState } from '../state'
import { nameOf } from '../definition'
import { NONE } from '../value'
import type { SubmitMessage } from '../wire/inbox-message'
import type { Failure } from '../failure'
import { entryFailed, startRoot } from './chains'
import { argsValue } from './dispatch'
import type { Draft, RunView } from './draft'
import { emitCreated } from './emit'
import { expiryKey, finish } from './finish'
import { openPages, sourceOf, writePages } from './frames'
import { entryPath, ROOT } from './paths'
import { conflictFailure, earlierFailure, existsFailure, isEarlier } from './queries'
import { firstRun } from './row-keys'
import { firstStep, isOver, type PipelineRow } from './rows'
import { timersFull } from './timer-limit'

const DEFAULT_RETENTION_MS = 24 * 3_600_000
/** A submit comes again within seconds, if at all. */
const MOST_EARLIER = 8
/** Pipelines of a partition that go on: beyond it new ids are refused. */
export const MOST_LIVE = 1_000_000

export function submit(draft: Draft, message: SubmitMessage): void {
  const { id, options } = message
  const existing = draft.run(id)
  if (existing === undefined) {
    // What has been promoted has been accepted already.
    const full = options.lone === 1 ? undefined : fullFailure(draft, message)
    return full === undefined ? start(draft, message, undefined) : refuse(draft, message, full)
  }
  // The same submit again: its run exists, and whoever sent it is told what it would have been told.
  if (firstRun(existing.row.run) === message.run) return answer(draft, existing, message)
  if (isEarlier(existing.row, message.run)) return refuse(draft, message, earlierFailure(existing.row))
  // What is being taken away has left its id already.
  if (existing.row.leaving || options.onDuplicate === 'restart') return restart(draft, existing, message)
  if (options.onDuplicate === 'reject') return refuse(draft, message, existsFailure(existing.row))
  if (existing.row.hash !== message.definition.hash) return refuse(draft, message, conflictFailure(existing.row))
  answer(draft, existing, message)
}

/** `before`: the row of the run that had the id. */
function start(draft: Draft, message: SubmitMessage, before: PipelineRow | undefined): void {
  const { id, run, options, definition } = message
  const earlier = before && [...(before.earlier ?? []), firstRun(before.run)].slice(-MOST_EARLIER)
  // Never that of a run before, though it be forgotten: long work for that one may still be under way.
  const gen = Math.max(draft.seq, (before?.gen ?? 0) + 1)
  const row: PipelineRow = {
    id,
    run,
    name: '',
    earlier,
    gen,
    status: 'RUNNING',
    hash: definition.hash,
    createdAt: draft.now,
    finishedAt: 0,
    retentionMs: options.retentionMs ?? DEFAULT_RETENTION_MS,
    meta: options.meta,
    replyTo: options.replyTo,
    lone: options.lone === 1,
    notes: undefined,
    tasks: definition.tasks,
    done: 0,
    attempts: 0,
    out: 0,
    finals: 0,
    litter: false,
    finishing: false,
    leaving: false,
    commands: before?.commands,
    events: 0,
    waits: 0,
    taken: undefined,
    chain: undefined,
    outcome: NONE,
    tree: undefined,
  }
  draft.count('live', 1)
  const view = draft.create(row)
  const pages = openPages(draft, view, definition)
  const { document } = pages
  row.name = nameOf(document, document.chain)
  row.chain = { ...firstStep(NONE), definition: sourceOf(definition), state: initialState(document) }
  writePages(draft, view, ROOT, pages)
  emitCreated(draft, view, document)
  if (options.onDuplicate !== undefined && options.replyTo !== undefined)
    draft.reply(options.replyTo, { type: 'accepted', id, run })
  if (options.failed !== undefined && message.failure !== undefined) {
    row.chain = { ...row.chain, attempt: options.failed.attempt }
    row.out = 1
    return entryFailed(draft, view, entryPath(ROOT, 0), options.failed.attempt, message.failure, options.failed.verdict)
  }
  startRoot(draft, view, argsValue(document.input), options.runAt ?? 0)
}

/** A live run is cancelled first; whatever it had goes in steps, and its late outcomes name a run that is no more. */
function restart(draft: Draft, existing: RunView, message: SubmitMessage): void {
  const { row } = existing
  if (!isOver(row.status)) {
    draft.cancelled.push({ id: row.id, run: row.run })
    finish(draft, existing, 'CANCELLED', NONE)
  }
  draft.delete(expiryKey(existing))
  draft.startJob(existing, { kind: 'clean', path: '', whole: false, blobs: true })
  start(draft, message, row)
}

function answer(draft: Draft, existing: RunView, { run, options: { replyTo } }: SubmitMessage): void {
  if (replyTo === undefined) return
  const { row } = existing
  if (row.run !== run) draft.reply(replyTo, { type: 'attached', id: row.id, run, actual: row.run })
  if (!isOver(row.status)) draft.attached.push({ id: row.id, replyTo })
  else draft.reply(replyTo, { type: 'ended', id: row.id, run: row.run, status: row.status, value: row.outcome })
}

function fullFailure(draft: Draft, { id, options: { runAt = 0 } }: SubmitMessage): Failure | undefined {
  if (draft.tally.live < MOST_LIVE) return runAt > draft.now ? timersFull(draft, id) : undefined
  const message = `the partition of "${id}" has ${MOST_LIVE} pipelines that go on: submit it again when some have ended`
  return { code: 'TASKS_FULL', name: 'TaskError', message }
}

function refuse(draft: Draft, { id, run, options: { replyTo } }: SubmitMessage, failure: Failure): void {
  if (replyTo !== undefined) draft.reply(replyTo, { type: 'refused', id, run, failure })
}
