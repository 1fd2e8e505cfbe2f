// What the worker of a task runs with it. A task that is bound with `checkpoint: false` hands its result to the next one within the process, so that no row,
// message or blob has to hold it; one dispatch and one outcome stand for both. If the process dies in between, nothing has happened: the first is sent again.
//
// F1. Each entry ends in the reducer as if it had been reported alone, in order: only that what follows is not sent.
// F2. A result is reported if it is needed again: by what failed with it, or by what could not be run in the same process.
// F3. What was lost once runs alone, so that only what kills its process is given up for it.
import { isHandler, isTask, type ArgsData, type TaskEntry } from '../definition'
import type { Outcome } from '../wire/inbox-message'
import type { Following } from '../wire/task-message'
import type { EntryName } from './draft'
import type { Entries } from './places'

/** Together they hold a slot, and are lost together. */
const MOST = 16
/** Of their arguments: they travel with the first. */
const MOST_BYTES = 4_096

/** What may run with the task at this index, whose result need not be stored. */
export function followingOf({ definition, entries }: Entries, at: number): readonly Following[] | undefined {
  const { steps } = definition
  const stepOf = ([number]: TaskEntry) => steps[number]!
  const following: Following[] = []
  let step = stepOf(entries[at] as TaskEntry)
  let bytes = MOST_BYTES
  for (let index = at + 1; following.length < MOST && step.checkpoint === 0 && step.pauseAfter !== 1; index++) {
    const entry = entries[index]
    if (entry === undefined || !isTask(entry)) break
    // Without a failure it has nothing to do.
    if (isHandler(definition, entry)) continue
    const next = stepOf(entry)
    const args = entry[1]
    bytes -= args === undefined ? 0 : lengthOf(args)
    if (next.queue !== step.queue || next.priority !== step.priority || bytes < 0) break
    following.push(args === undefined ? [index, next] : [index, next, args])
    step = next
  }
  return following.length === 0 ? undefined : following
}

const lengthOf = (args: ArgsData): number => (typeof args === 'string' ? args : JSON.stringify(args)).length

/** The entry that was sent: others may have run with it. */
export function sentEntryOf({ id, run, path, attempt, passed }: Outcome): EntryName {
  const [first] = passed ?? []
  return first === undefined ? { id, run, path, attempt } : { id, run, path: first.path, attempt: first.attempt }
}
