// From a draft to what is committed: which dispatch takes which lane, one window that notes them all, and every send with its id.
import { DEFAULT_QUEUE } from '../task-options'
import type { Bytes, PartitionSession, RowKey, Send } from '../transport'
import { encodeReply } from '../wire/reply'
import type { Attached } from './attached'
import type { Draft } from './draft'
import { encodeDispatch } from './dispatch'
import { mayGoLocal, type HeadStart } from './head-start'
import type { LocalItem, LocalLane } from './local-lane'
import type { RowCache } from './row-cache'
import { encodeRow } from './row-codec'
import { windowKey } from './row-keys'
import type { Lane, WindowRow } from './rows'
import { keyOfClosed, windowItems, type Closing } from './windows'

export interface CommitPlan {
  readonly sends: readonly Send[]
  /** Handed over when the commit has succeeded; room in the lane is reserved for them. */
  readonly local: readonly LocalItem[]
  readonly window: { readonly key: RowKey; readonly row: WindowRow } | undefined
  /** How many dispatches the window notes. */
  readonly open: number
}

/** Puts the window into the draft, in the place of one that `closing` closes: to change a row costs less than to delete one and to make one. `lane` is undefined if nothing may be handed over. */
export function planCommit(
  draft: Draft,
  session: PartitionSession,
  lane: LocalLane | undefined,
  headStart: HeadStart,
  replies: readonly Send[],
  closing: Closing,
): CommitPlan {
  const prefix = `${session.claim}.${draft.seq}.`
  const sends: Send[] = draft.sends.map(({ target, body }, index) => ({ target, body, id: prefix + index }))
  const dispatches = headStart.notEnded(draft)
  if (dispatches.length === 0) return { sends: [...sends, ...replies], local: [], window: undefined, open: 0 }
  const local: LocalItem[] = []
  const lanes: Lane[] = []
  const queues = new Set<string>()
  let room = lane?.room() ?? 0
  for (const dispatch of dispatches) {
    if (headStart.hasBegun(dispatch)) {
      lanes.push('local')
      continue
    }
    const { step } = dispatch
    const queue = step.queue ?? DEFAULT_QUEUE
    if (room > 0 && mayGoLocal(dispatch, lane!)) {
      room--
      local.push({ partition: session.partition, dispatch })
      lanes.push('local')
      continue
    }
    queues.add(queue)
    lanes.push('queue')
    sends.push({
      target: step.priority === undefined ? { to: 'task', queue } : { to: 'task', queue, priority: step.priority },
      id: prefix + sends.length,
      body: encodeDispatch(dispatch, draft.now),
    })
  }
  if (local.length > 0) lane!.reserve(local.length)
  const row: WindowRow = {
    seq: draft.seq,
    epoch: session.epoch,
    sentAt: draft.now,
    queues: [...queues],
    items: windowItems(dispatches, lanes),
  }
  const key = keyOfClosed(closing) ?? windowKey(draft.seq)
  draft.put(key, row)
  return { sends: [...sends, ...replies], local, window: { key, row }, open: lanes.length }
}

/** Replies to those who wait in memory, and answers to questions: they leave with the commit that they speak of. */
export function repliesOf(draft: Draft, session: PartitionSession, attached: Attached): readonly Send[] {
  if (draft.ended.length === 0 && draft.answers.length === 0) return []
  const replies: Send[] = []
  const reply = (address: string, body: Bytes): void =>
    void replies.push({
      target: { to: 'reply', address },
      id: `${session.claim}.${draft.seq}.r${replies.length}`,
      body,
    })
  for (const ended of draft.ended)
    for (const address of attached.of(draft, ended)) reply(address, encodeReply({ type: 'ended', ...ended }))
  const { partition, epoch } = session
  for (const { replyTo, correlation, answer } of draft.answers) {
    reply(replyTo, encodeReply({ type: 'answer', correlation, partition, epoch, seq: draft.seq - 1, answer }))
  }
  return replies
}

/** The rows of a draft as they are stored. */
export function encodeRows(draft: Draft, cache: RowCache): ReadonlyMap<RowKey, Bytes | null> {
  const rows = new Map<RowKey, Bytes | null>()
  for (const [key, row] of draft.changed) {
    if (row !== null) rows.set(key, encodeRow(key, row))
    // A row that came and went within this draft was never stored.
    else if (cache.get(key) !== null) rows.set(key, null)
  }
  for (const [key, writer] of draft.results) rows.set(key, writer.bytes())
  return rows
}
