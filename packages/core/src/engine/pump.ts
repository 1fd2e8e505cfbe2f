// The pump starts the chains of a group, a few at a time, from a cursor: so a group of a million neither floods the queue nor
// makes a commit that is too large. How many at a time is the owner's to say; which, is the cursor's.
import { childChain, isPure, isTask } from '../definition'
import { startEntry } from './advance'
import type { Dispatch, Draft } from './draft'
import { emitSent } from './emit'
import { followingOf } from './following'
import { viewGroup } from './groups'
import { childPath, firstEntriesBefore, firstEntryPath } from './paths'
import { groupAt, placeOf } from './places'
import { RunKeys } from './row-keys'
import { firstStep, isOver, type GroupRow, type JobRow, type PipelineRow } from './rows'

/** Tasks of a pipeline that are with workers when no more chains are started: the others wait in its rows, not in a queue. */
const OUT_AT_ONCE = 4_000

/** Starts at most `count` further chains, first in first out. */
export function pump(draft: Draft, job: JobRow & { kind: 'pump' }, count: number): void {
  const { id, path } = job
  const keys = new RunKeys(id, job.gen)
  const pipeline = draft.get<PipelineRow>(keys.pipeline)
  const waiting =
    pipeline?.run === job.run && !isOver(pipeline.status) && pipeline.status !== 'CANCELLING'
      ? draft.get<GroupRow>(keys.group(path))
      : undefined
  if (waiting === undefined) {
    // The run has ended, or was restarted.
    draft.delete(keys.job('pump', path))
    return
  }
  if (pipeline!.status === 'PAUSED') return
  // What sleeps, or waits for something else, is in nobody's way.
  const most = Math.min(OUT_AT_ONCE - pipeline!.out, (waiting.most || Infinity) - (waiting.next - waiting.ended))
  const to = Math.min(waiting.size, waiting.next + Math.min(count, Math.max(0, most)))
  // Looking is not changing: a group that may start nothing costs no commit.
  if (to === waiting.next) return
  const run = draft.run(id)!
  const group = viewGroup(draft, run, path).edit()!
  const { definition, group: chains, page } = groupAt(draft, run, path)
  const before = firstEntriesBefore(path)
  for (let index = group.next; index < to; index++) {
    const chain = childChain(chains, index, page)
    const first = chain[0]!
    group.next = index + 1
    // Whatever does not begin with a task has a row at once. So has all that follows an entry by which the pipeline is paused.
    if (!isTask(first) || run.row.status !== 'RUNNING') {
      startEntry(draft, run, placeOf(childPath(path, index)), firstStep(group.input), 0, group.input)
      continue
    }
    const [step, args] = first
    run.row.out++
    const dispatch: Dispatch = {
      id,
      run: run.row.run,
      path: firstEntryPath(before, index),
      attempt: 1,
      resends: 0,
      step: definition.steps[step]!,
      input: group.input,
      args,
      state: group.state,
      meta: run.row.meta,
      group: path,
      child: index,
      shared: false,
      final: false,
      following: isPure(definition, first) ? followingOf({ definition, entries: chain }, 0) : undefined,
    }
    draft.dispatches.push(dispatch)
    emitSent(draft, run, dispatch)
  }
  if (group.next === group.size) draft.delete(run.keys.job('pump', path))
}
