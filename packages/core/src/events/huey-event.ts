// Worker events as Huey's consumer published them, for programs that read those.
import type { CloudEvent } from './cloud-event'
import {
  WORKER_EVENTS,
  type TaskDuration,
  type TracedError,
  type WorkerEventType,
  type WorkerTask,
} from './worker-event'

/** Huey's `status` of an event. */
export type HueyStatus = WorkerEventType extends `${typeof WORKER_EVENTS}${infer Status}` ? Status : never

/** Times in seconds, as there. What Huey leaves out of an event is left out. */
export interface HueyEvent {
  readonly status: HueyStatus
  readonly error: boolean
  /** The task's id. */
  readonly id?: string
  readonly task?: string
  /** How often it may still be tried again. */
  readonly retries?: number
  readonly retry_delay?: number
  /** Here only of `scheduled`; else null. */
  readonly execute_time?: number | null
  readonly timestamp?: number
  readonly duration?: number
  readonly traceback?: string
}

const WITH_TIMESTAMP: ReadonlySet<string> = new Set<HueyStatus>([
  'checking-periodic',
  'scheduling-periodic',
  'started',
  'finished',
  'revoked',
])

// oxlint-disable-next-line no-restricted-globals -- this reads no clock
const secondsOf = (time: string): number => Date.parse(time) / 1000

/** What Huey would have said; undefined for an event that is no worker's. */
export function hueyEvent({ type, subject, time, data }: CloudEvent): HueyEvent | undefined {
  if (!type.startsWith(WORKER_EVENTS)) return undefined
  const status = type.slice(WORKER_EVENTS.length) as HueyStatus
  const { task, retries, retryDelayMs, executeAt, durationMs, traceback } = data as Partial<
    WorkerTask & TaskDuration & TracedError
  >
  return {
    status,
    error: status.startsWith('error-'),
    ...(task !== undefined && {
      id: subject,
      task,
      retries: retries!,
      retry_delay: retryDelayMs! / 1000,
      execute_time: executeAt === null ? null : executeAt! / 1000,
    }),
    ...(WITH_TIMESTAMP.has(status) && { timestamp: secondsOf(time) }),
    ...(durationMs !== undefined && { duration: durationMs / 1000 }),
    ...(traceback !== undefined && { traceback }),
  }
}
