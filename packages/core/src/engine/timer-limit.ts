// Entries that wait for a time: for the end of a sleep, for a retry, for an event until then. However many there are, they are rows; but there may be
// only so many of them in a partition.
import type { Failure } from '../failure'
import type { Draft } from './draft'

/** Timers of entries of a partition: beyond it nothing more is put off. */
export const MOST_TIMERS = 10_000_000

/** Why nothing of this pipeline can wait for a time now; undefined if it can. */
export function timersFull(draft: Draft, id: string): Failure | undefined {
  if (draft.tally.timers < MOST_TIMERS) return undefined
  const message = `the partition of "${id}" has ${MOST_TIMERS} entries that wait for a time`
  return { code: 'TASKS_FULL', name: 'TaskError', message }
}
