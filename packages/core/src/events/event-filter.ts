// Which events a subscriber wants. Data, and checked: a filter that is misspelt would show nothing for ever.
import { TaskError } from '../errors'
import { checkId } from '../ids'
import { EVENT_TYPES, type CloudEvent } from './cloud-event'

export interface EventFilter {
  /** Types, or beginnings of types that end with `*`: `dev.tasks.pipeline.*`. The common beginning `dev.tasks.` may be left out. Default: all. */
  readonly types?: string | readonly string[]
  /** Only what is about this pipeline, as it was submitted. */
  readonly pipelineId?: string
  /** Only events that were sent with this key. */
  readonly key?: string
}

export const SENT_EVENT = `${EVENT_TYPES}event`

/** @throws TaskError TASKS_OPTIONS, TASKS_ID_INVALID */
export function eventFilter({ types, pipelineId, key }: EventFilter): (event: CloudEvent) => boolean {
  const wanted = types === undefined ? undefined : [types].flat().map(typePattern)
  if (pipelineId !== undefined) checkId('pipeline id', pipelineId)
  if (key !== undefined) checkId('event key', key)
  return (event) =>
    (wanted === undefined || wanted.some((matches) => matches(event.type))) &&
    (pipelineId === undefined || event.rootid === pipelineId) &&
    (key === undefined || (event.type === SENT_EVENT && event.subject === key))
}

function typePattern(type: unknown): (type: string) => boolean {
  if (typeof type !== 'string' || !/^[a-z][a-z.-]*\*?$/.test(type))
    throw new TaskError('TASKS_OPTIONS', `types: "${String(type)}" is no event type, nor the beginning of one and a *`)
  const full = type.startsWith(EVENT_TYPES) ? type : EVENT_TYPES + type
  if (!full.endsWith('*')) return (each) => each === full
  const beginning = full.slice(0, -1)
  return (each) => each.startsWith(beginning)
}
