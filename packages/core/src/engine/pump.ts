// The pump starts the chains of a group, a few at a time, from a cursor: so a group of a million neither floods the queue nor
// makes a commit that is too large. How many at a time is the owner's to say; which, is the cursor's.
import { childChain, isGroup, type TaskEntry } from '../definition'
import { groupAt, startChild } from './chains'
import type { Draft } from './draft'
import { viewGroup } from './groups'
import { childPath, entryPath } from './paths'
import { firstStep, RunKeys, type GroupRow, type JobRow, type PipelineRow } from './rows'

/** Chains of one group that are out at a time: what waits beyond that waits in its rows, not in a queue. */
const OUT_AT_ONCE = 4_000

/** Starts at most `count` further chains, first in first out. */
export function pump(draft: Draft, job: JobRow & { kind: 'pump' }, count: number): void {
  const { id, path } = job
  const keys = new RunKeys(id, job.gen)
  const pipeline = draft.get<PipelineRow>(keys.pipeline)
  const waiting =
    pipeline?.run === job.run && pipeline.status === 'RUNNING' ? draft.get<GroupRow>(keys.group(path)) : undefined
  if (waiting === undefined) {
    // The run was restarted, or its retention has ended.
    draft.delete(keys.job('pump', path))
    return
  }
  const most = Math.min(OUT_AT_ONCE, waiting.most || Infinity) - (waiting.next - waiting.ended)
  const to = Math.min(waiting.size, waiting.next + Math.min(count, Math.max(0, most)))
  // Looking is not changing: a group that may start nothing costs no commit.
  if (to === waiting.next) return
  const run = draft.run(id)!
  const group = viewGroup(draft, run, path).edit()!
  const { definition, group: chains, page } = groupAt(draft, run, path)
  for (let index = group.next; index < to; index++) {
    const chain = childChain(chains, index, page)
    const first = chain[0]!
    const base = childPath(path, index)
    group.next = index + 1
    if (isGroup(first)) {
      startChild(draft, run, base, firstStep(group.input))
      continue
    }
    const [step, args] = first as TaskEntry
    draft.dispatches.push({
      id,
      run: run.row.run,
      path: entryPath(base, 0),
      attempt: 1,
      resends: 0,
      step: definition.steps[step]!,
      input: group.input,
      args,
      meta: run.row.meta,
      group: path,
      child: index,
      shared: false,
    })
  }
  if (group.next === group.size) draft.delete(run.keys.job('pump', path))
}
