// How a run ends: once, with one outcome, which stays until the retention has passed.
import type { Definition, TaskEntry } from '../definition'
import { messageOf } from '../failure'
import { asBuffer } from '../record'
import { DEFAULT_QUEUE } from '../task-options'
import type { Value } from '../value'
import { encodeLoneTask } from '../wire/task-message'
import { argsValue } from './dispatch'
import type { Draft, RunView } from './draft'
import { changeStatus } from './emit'
import { deletePages } from './frames'
import { hopPath, ROOT } from './paths'
import type { RowKey } from '../transport'
import type { DefinitionPage, KeptTree } from './rows'

/** How long a promoted lone task that ended well is remembered, so that its message, delivered again, does nothing. */
const TOMBSTONE_MS = 3_600_000

/** @param tree what is kept of its entries */
export function finish(
  draft: Draft,
  run: RunView,
  status: 'COMPLETED' | 'FAILED' | 'CANCELLED',
  outcome: Value,
  tree?: KeptTree,
): void {
  const { row } = run
  const { chain } = row
  if (row.lone && status === 'FAILED') deadLetterLoneTask(draft, run, outcome)
  // A failed run keeps what a retry would need until its retention ends.
  const isKept = status === 'FAILED' && !row.lone
  changeStatus(draft, run, status, outcome)
  draft.count('live', -1)
  row.outcome = outcome
  row.tree = tree
  row.finishedAt = draft.now
  if (!isKept) row.chain = undefined
  row.notes = undefined
  if (row.replyTo !== undefined)
    draft.reply(row.replyTo, { type: 'ended', id: row.id, run: row.run, status, value: outcome })
  row.replyTo = undefined
  draft.ended.push({ id: row.id, run: row.run, status, value: outcome })
  if (!isKept && (row.litter || row.waits > 0 || status === 'CANCELLED'))
    draft.startJob(run, { kind: 'clean', path: '', whole: false, blobs: false })
  // What else is left are the pages of the root chain's frame; everything else went when its chain or group ended.
  else if (!isKept && chain !== undefined) deletePages(draft, run, hopPath(ROOT, chain.hop), chain.definition)
  draft.put(expiryKey(run), { kind: 'expire', id: row.id, run: row.run })
}

/** When the run is forgotten. */
export function expiryKey({ row, keys }: RunView): RowKey {
  return keys.timer(row.finishedAt + (row.lone ? TOMBSTONE_MS : row.retentionMs), 'e')
}

/** Forgets a run that is over. */
export function takeAway(draft: Draft, run: RunView): void {
  run.row.leaving = true
  draft.delete(expiryKey(run))
  draft.startJob(run, { kind: 'clean', path: '', whole: true, blobs: true })
}

/** A lone task that failed for good is a dead letter that can be redriven: its body is the message as it was first sent. */
function deadLetterLoneTask(draft: Draft, { keys }: RunView, failure: Value): void {
  const definition: Definition = draft.get<DefinitionPage>(keys.page('', 0))!.definition()
  const [index, args] = definition.chain[0] as TaskEntry
  const step = definition.steps[index]!
  const queue = step.queue ?? DEFAULT_QUEUE
  const text = asBuffer(failure.bytes).toString()
  draft.send(
    {
      to: 'dead',
      letter: { reason: 'failed', message: messageOf(text), source: queue, task: step.task, failure: text },
    },
    encodeLoneTask({
      task: step.task,
      sentAt: draft.now,
      options: {
        ...(step.timeoutMs === undefined ? {} : { timeoutMs: step.timeoutMs }),
        ...(step.retry === undefined ? {} : { retry: step.retry }),
        queue,
      },
      args: argsValue(args),
    }),
  )
}
