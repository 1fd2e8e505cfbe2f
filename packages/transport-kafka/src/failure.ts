import { TaskError } from '@tasks/core/adapter'

/** Whether what failed may have had an effect. */
export type Applied = 'no' | 'unknown'

export function unavailable(what: string, why: string, applied: Applied, cause?: unknown): TaskError {
  return new TaskError('TASKS_UNAVAILABLE', `Kafka: ${what}: ${why}`, { cause, details: { applied } })
}

export function fenced(message: string, cause?: unknown): TaskError {
  return new TaskError('TASKS_FENCED', message, { cause })
}

export function closed(what = 'the transport'): TaskError {
  return new TaskError('TASKS_CLOSED', `Kafka: ${what} is closed`)
}

/** Whether it is certain that what failed with this error has had no effect. */
export function isCertain(error: unknown): boolean {
  return TaskError.is(error) && error.details?.['applied'] === 'no'
}

/** The broker will not do this, however often it is asked. */
export function refused(what: string, why: string): TaskError {
  return new TaskError('TASKS_UNAVAILABLE', `Kafka: ${what}: ${why}`, { details: { applied: 'no', final: true } })
}

/** Whether another try cannot mend it. */
export function isFinal(error: unknown): boolean {
  return TaskError.is(error) && (error.code !== 'TASKS_UNAVAILABLE' || error.details?.['final'] === true)
}
