// Commands: what is done to a pipeline from outside, by its id. Each has an id of its own; a pipeline keeps the last few and drops repeats.
//
//   command   from                 to           from others
//   pause     RUNNING              PAUSED       PAUSED: nothing
//   resume    PAUSED               RUNNING      RUNNING: nothing
//   cancel    RUNNING, PAUSED      CANCELLING   CANCELLING, CANCELLED: nothing
//   retry     FAILED               RUNNING
//   delete    COMPLETED, FAILED, CANCELLED      (gone)
//
// Whatever is not listed is refused with TASKS_STATUS, naming both; and so is it when it comes again.
import { noPipeline } from '../errors'
import type { Command, CommandMessage } from '../wire/inbox-message'
import type { Status } from '../wire/reply'
import { entryReleased } from './chains'
import { CANCEL_GRACE_MS, cancelRun } from './cancel'
import type { Draft, RunView } from './draft'
import { changeStatus } from './emit'
import { takeAway } from './finish'
import { retryRun } from './retried'
import type { CommandNote, JobRow } from './rows'

const MOST_COMMANDS = 64

/** Where a command may be given, and where it has nothing to do. */
const FROM: Readonly<Record<Command, { readonly from: readonly Status[]; readonly done: readonly Status[] }>> = {
  pause: { from: ['RUNNING'], done: ['PAUSED'] },
  resume: { from: ['PAUSED'], done: ['RUNNING'] },
  cancel: { from: ['RUNNING', 'PAUSED'], done: ['CANCELLING', 'CANCELLED'] },
  retry: { from: ['FAILED'], done: [] },
  delete: { from: ['COMPLETED', 'FAILED', 'CANCELLED'], done: [] },
}

/** The answer to a command. */
export type CommandAnswer =
  | { readonly status: Status; readonly run: string }
  | { readonly refused: { readonly code: string; readonly name: string; readonly message: string } }

export function command(draft: Draft, message: CommandMessage): void {
  const { command: name, id, commandId, replyTo, correlation } = message
  const answer = (answer: CommandAnswer): void => void draft.answers.push({ replyTo, correlation, answer })
  const refuse = (code: string, text: string): void => answer({ refused: { code, name: 'TaskError', message: text } })
  const run = draft.run(id)
  if (run === undefined || run.row.leaving) return refuse('TASKS_NOT_FOUND', noPipeline(id))
  const { row } = run
  const { from, done } = FROM[name]
  if (name === 'retry' && row.lone)
    return refuse('TASKS_UNSUPPORTED', `"${id}" is a lone task: redrive its dead letter instead of retrying it`)
  const before = row.commands?.find((note) => (typeof note === 'string' ? note : note[0]) === commandId)
  const isDue = from.includes(row.status)
  // What was refused stays refused: whoever gave it may have been told so.
  const refused =
    before === undefined ? (isDue || done.includes(row.status) ? undefined : row.status) : refusedBy(before)
  if (before === undefined) {
    if (isDue) obey(draft, run, message)
    const note: CommandNote =
      refused !== undefined ? [commandId, refused] : name === 'retry' ? [commandId, null, row.run] : commandId
    row.commands = [...(row.commands ?? []), note].slice(-MOST_COMMANDS)
  }
  // Since a retry that is given again, another run may have begun: what it began is what whoever gave it waits for.
  if (refused === undefined) answer({ status: row.status, run: runOf(before) ?? row.run })
  else refuse('TASKS_STATUS', `the pipeline "${id}" is ${refused}: ${name} is for one that is ${from.join(' or ')}`)
}

const refusedBy = (note: CommandNote): Status | undefined =>
  typeof note === 'string' ? undefined : (note[1] ?? undefined)

const runOf = (note: CommandNote | undefined): string | undefined => (typeof note === 'string' ? undefined : note?.[2])

function obey(draft: Draft, run: RunView, { command: name, graceMs }: CommandMessage): void {
  switch (name) {
    case 'pause':
      changeStatus(draft, run, 'PAUSED')
      return
    case 'resume':
      changeStatus(draft, run, 'RUNNING')
      // A job of its own: that of an earlier resume may be about to end, and has not seen what was held since.
      return draft.startJob(run, { kind: 'resume', path: String(draft.seq) })
    case 'cancel':
      return cancelRun(draft, run, graceMs ?? CANCEL_GRACE_MS)
    case 'retry':
      return retryRun(draft, run)
    case 'delete':
      return takeAway(draft, run)
  }
}

/** A step of resuming: these entries were held. A pause in the middle of it ends it; what is left stays held. */
export function released(draft: Draft, job: JobRow, paths: readonly string[], done: boolean): void {
  const run = draft.runOf(job)
  const goesOn = run?.row.status === 'RUNNING'
  if (goesOn) for (const path of paths) entryReleased(draft, run, path)
  if (done || !goesOn) draft.endJob(job)
}
