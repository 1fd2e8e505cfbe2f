// What a pipeline says of itself. Each event leaves in the commit that makes it true.
import type { DescribedError } from '../described-error'
import type { Status } from '../wire/reply'
import type { CloudEvent } from './cloud-event'

/** What owners emit: nothing, what happens to pipelines, or what happens to each task, too. */
export const eventLevels = ['none', 'pipelines', 'tasks'] as const
export type EventLevel = (typeof eventLevels)[number]

export type PipelineEventType = keyof PipelineEvents

export type PipelineEvent = {
  [Type in PipelineEventType]: CloudEvent<Type, PipelineEvents[Type]>
}[PipelineEventType]

export interface PipelineEvents {
  /** A run begins, or a task has returned a pipeline (then only at the level `tasks`). */
  'dev.tasks.pipeline.created': PipelineCreated
  'dev.tasks.pipeline.status': PipelineStatusChanged
  /** Entries were passed over: those behind a failure, up to its handler, and handlers that had nothing to do. Of chains of a group only at the level `tasks`. */
  'dev.tasks.pipeline.skipped': PipelineTasksSkipped
  'dev.tasks.task.dispatched': TaskSent
  'dev.tasks.task.completed': TaskAttempt
  /** For good: it is not tried again. */
  'dev.tasks.task.failed': TaskFailed
  'dev.tasks.task.retried': TaskRetried
  /** What it came to counts no more: its pipeline is being cancelled. */
  'dev.tasks.task.cancelled': TaskAttempt
}

/** `dev.tasks.event`: somebody has sent an event. `client.subscribe` gives the value decoded. */
export interface SentEventData {
  readonly key: string
  /** The pipeline that it was sent to. */
  readonly pipelineId?: string
  /** The codec's bytes, in base64; null: none. */
  readonly value: string | null
}

export interface PipelineCreated {
  /** Of its first task. */
  readonly name: string
  readonly tasks: number
  /** What it was submitted with. */
  readonly meta?: Readonly<Record<string, unknown>>
  readonly chain: readonly EntryInfo[]
  readonly finally?: TaskInfo
  /** The pipeline whose task returned it. */
  readonly parentId?: string
  /** The tree has more than is told. */
  readonly truncated?: true
}

export type EntryInfo =
  | TaskInfo
  | { readonly taskId: string; readonly group: number; readonly chains: readonly (readonly EntryInfo[])[] }
  /** A chain for each element of a result. */
  | { readonly taskId: string; readonly each: readonly EntryInfo[] }
  | { readonly taskId: string; readonly sleep: true }
  /** Waits for an event of this key. */
  | { readonly taskId: string; readonly event: string }

export interface TaskInfo {
  readonly taskId: string
  readonly task: string
  /** It is for failures. */
  readonly handler?: true
}

export interface PipelineStatusChanged {
  readonly status: Exclude<Status, 'PENDING'>
  /** Absent of a new run. */
  readonly previous?: Exclude<Status, 'PENDING'>
  /** Of a pipeline that FAILED. */
  readonly error?: DescribedError
}

export interface PipelineTasksSkipped {
  /** At most 100. */
  readonly entries: readonly EntryInfo[]
  readonly count: number
}

export interface TaskAttempt {
  readonly task: string
  readonly attempt: number
}

export interface TaskSent extends TaskAttempt {
  /** How often this attempt was sent again, because whoever had it was lost. */
  readonly resends?: number
}

export interface TaskFailed extends TaskAttempt {
  readonly error: DescribedError
}

export interface TaskRetried extends TaskFailed {
  /** When the next attempt is due, ms since the epoch. */
  readonly dueAt: number
}
