// What is told of a pipeline, from its committed rows: by its owner, or by a client that can read them itself.
import type { Bytes, RowKey } from '../transport'
import type { Status } from '../wire'
import { decodeRow } from './row-codec'
import { PIPELINES } from './row-keys'
import { isOver, type PipelineRow } from './rows'

export interface PipelineStatus {
  readonly id: string
  readonly run: string
  readonly status: Status
  readonly createdAt: number
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
}

export function statusOf(row: PipelineRow | undefined): PipelineStatus | null {
  if (row === undefined) return null
  const { id, run, status, createdAt, finishedAt, meta, tasks, done, attempts, notes } = row
  return {
    id,
    run,
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

export interface ListQuestion {
  readonly after?: string
  readonly limit: number
  readonly status?: string
}

const MOST = 10_000

/** The pipelines of one partition in order of their keys. `next` goes into `after` to go on. */
export async function listPipelines(
  scan: (prefix: string, after: RowKey | undefined, limit: number) => Promise<readonly (readonly [RowKey, Bytes])[]>,
  question: ListQuestion,
): Promise<{ readonly pipelines: readonly PipelineStatus[]; readonly next?: string }> {
  const pipelines: PipelineStatus[] = []
  // What a client sends is not to be trusted with the length of a scan.
  const limit = Math.max(1, Math.min(Math.floor(question.limit) || 1, MOST))
  let after = question.after
  for (;;) {
    const page = await scan(PIPELINES, after, Math.min(limit, 500))
    for (const [key, bytes] of page) {
      const status = statusOf(decodeRow(key, bytes) as PipelineRow)!
      after = key
      if (question.status !== undefined && status.status !== question.status) continue
      pipelines.push(status)
      if (pipelines.length === limit) return { pipelines, next: key }
    }
    if (page.length < Math.min(limit, 500)) return { pipelines }
  }
}
