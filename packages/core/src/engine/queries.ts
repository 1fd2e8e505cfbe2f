// What is told of a pipeline, from its committed rows: by its owner, or by a client that can read them itself.
import type { TaskErrorCode } from '../errors'
import { fromFailure, type Failure } from '../failure'
import type { MeantRun } from '../wire/inbox-message'
import type { Status } from '../wire/reply'
import { decodeRow } from './row-codec'
import { firstRun, pipelineKey, RunKeys } from './row-keys'
import type { RowSource } from './row-source'
import { isOver, type GroupRow, type PipelineRow } from './rows'

export interface PipelineStatus {
  readonly id: string
  readonly run: string
  /** Of its first task: its display name, or else the task's. */
  readonly name: string
  readonly status: Status
  /** When its first owner took it, ms since the epoch. Undefined while it is PENDING. */
  readonly createdAt?: number
  /** Undefined while it runs. */
  readonly finishedAt?: number
  readonly meta?: Readonly<Record<string, unknown>>
  /** Task entries known so far; grows when a task returns a pipeline. */
  readonly tasks: number
  /** Task entries that ended well. */
  readonly done: number
  /** Starts known of: every outcome, failed attempts included. */
  readonly attempts: number
  /** What running tasks last said of themselves with `taskContext().progress()`; the latest few. */
  readonly notes?: readonly { readonly taskId: string; readonly fraction: number; readonly note: string }[]
  /** Groups that run now: the first 20. Not in lists. */
  readonly groups?: readonly GroupProgress[]
}

export function statusOf(row: PipelineRow | undefined): PipelineStatus | null {
  if (row === undefined || row.leaving) return null
  const { id, run, name, status, createdAt, finishedAt, meta, tasks, done, attempts, notes } = row
  return {
    id,
    run,
    name,
    status,
    createdAt,
    tasks,
    done,
    attempts,
    ...(isOver(status) ? { finishedAt } : {}),
    ...(meta === undefined ? {} : { meta }),
    ...(notes === undefined
      ? {}
      : { notes: Object.entries(notes).map(([path, [fraction, note]]) => ({ taskId: id + path, fraction, note })) }),
  }
}

/** A group that runs now. */
export interface GroupProgress {
  /** Of the group's entry. */
  readonly taskId: string
  readonly size: number
  readonly started: number
  readonly ended: number
  readonly failed: number
}

/** Whether the run was restarted: another one has its place. */
export function isEarlier(row: PipelineRow, run: string): boolean {
  return row.earlier?.includes(firstRun(run)) === true
}

export const earlierFailure = (row: PipelineRow): Failure =>
  failure(row, 'TASKS_NOT_FOUND', 'was restarted: the run before is not kept')

export const existsFailure = (row: PipelineRow): Failure => failure(row, 'TASKS_ID_EXISTS', 'exists')

export const conflictFailure = (row: PipelineRow): Failure =>
  failure(row, 'TASKS_ID_CONFLICT', 'exists with another definition')

const failure = ({ id, status }: PipelineRow, code: TaskErrorCode, why: string): Failure => ({
  code,
  name: 'TaskError',
  message: `the pipeline "${id}" (${status}) ${why}`,
})

/**
 * Why nothing of the run that the pipeline has now is for whoever means this one: it was restarted, or belongs to another definition that was
 * submitted with the same id. Undefined if it is, or is the one that it came to.
 */
export function refusalFor(row: PipelineRow, { run, hash }: Omit<MeantRun, 'id'>): Failure | undefined {
  if (run === undefined || run === row.run) return undefined
  if (isEarlier(row, run)) return earlierFailure(row)
  return hash === undefined || hash === row.hash ? undefined : conflictFailure(row)
}

const MOST_GROUPS = 20

/**
 * Where a pipeline stands, with its groups.
 * @throws TaskError TASKS_NOT_FOUND, TASKS_ID_CONFLICT if it has another run than the one that is meant
 */
export async function pipelineStatus(source: RowSource, meant: MeantRun): Promise<PipelineStatus | null> {
  const { id } = meant
  const key = pipelineKey(id)
  const [bytes] = await source.load([key])
  if (bytes === undefined) return null
  const row = decodeRow(key, bytes) as PipelineRow
  const status = statusOf(row)
  if (status === null) return null
  const refusal = refusalFor(row, meant)
  if (refusal !== undefined) throw fromFailure(refusal)
  if (isOver(row.status)) return status
  const prefix = new RunKeys(id, row.gen).groups()
  const groups = (await source.scan(prefix, undefined, MOST_GROUPS)).map(([groupKey, group]): GroupProgress => {
    const { size, next, ended, failed } = decodeRow(groupKey, group) as GroupRow
    return { taskId: id + groupKey.slice(prefix.length), size, started: next, ended, failed }
  })
  return groups.length === 0 ? status : { ...status, groups }
}
