// An event that somebody sends, from a client or a task: to a pipeline, or to the namespace.
import type { Codec } from '../codec'
import type { Scalar } from '../definition'
import { eventAddress, partitionOfAddress } from '../engine/event-address'
import { TaskError } from '../errors'
import { checkId } from '../ids'
import { badOption, checkMs, checkOptions } from '../option-checks'
import type { Send } from '../transport'
import { Kind, NONE } from '../value'
import { encodeInbox } from '../wire/inbox-message'

export interface SendEventOptions {
  readonly key: string
  /** What `waitForEvent` gives. */
  readonly value?: unknown
  /** The pipeline that it is for: it may be submitted later. Default: whoever waits in the namespace. */
  readonly pipelineId?: string
  /** Sent again under the same id it has no effect, for as long as it is kept. Default: a new one. */
  readonly id?: string
  /** Who gets it of those who wait by then: all, or one of them, as a message of a queue. Default `all`. */
  readonly wakes?: 'all' | 'one'
  /** How long it is kept for whoever waits for it later, in ms. Default 7 days. */
  readonly keepMs?: number
  /** What `match` may look at. Default: the texts, numbers, booleans and nulls in the value, by path. They are sent beside it as they are. */
  readonly fields?: Readonly<Record<string, Scalar>>
}

const KEPT_MS = 7 * 24 * 3_600_000
const OPTIONS = ['key', 'value', 'pipelineId', 'id', 'wakes', 'keepMs', 'fields']

/** What `match` can look at of a value: so much, so deep, and no longer texts. */
const MOST_FIELDS = 100
const MOST_DEPTH = 5
const MOST_TEXT = 256

/**
 * The message. `newId` is asked if there is no id.
 * @throws TaskError TASKS_OPTIONS, TASKS_ID_INVALID, TASKS_UNENCODABLE, TASKS_VALUE_TOO_LARGE
 */
export function eventSend(
  options: SendEventOptions,
  codec: Codec,
  partitions: number,
  inlineBytes: number,
  newId: () => string,
): { readonly id: string; readonly send: Send } {
  checkOptions('sendEvent', options, OPTIONS)
  const { key, value, pipelineId, wakes = 'all', keepMs = KEPT_MS } = options
  checkId('event key', key)
  if (pipelineId !== undefined) checkId('pipeline id', pipelineId)
  const id = options.id === undefined ? newId() : checkId('event id', options.id)
  if (wakes !== 'all' && wakes !== 'one') throw badOption('wakes', "'all' or 'one'", wakes)
  checkMs('keepMs', keepMs)
  const encoded = value === undefined ? NONE : { kind: Kind.one, bytes: codec.encode(value) }
  if (encoded.bytes.length > inlineBytes) {
    throw new TaskError(
      'TASKS_VALUE_TOO_LARGE',
      `the value of event "${key}" is ${encoded.bytes.length} bytes; the limit is ${inlineBytes}: send where it is instead`,
    )
  }
  const fields = options.fields === undefined ? fieldsOf(value) : checkFields(options.fields)
  const partition = partitionOfAddress(eventAddress(pipelineId, key), partitions)
  const body = encodeInbox({
    type: 'event',
    key,
    ...(pipelineId === undefined ? {} : { pipelineId }),
    eventId: id,
    value: encoded,
    ...(fields === undefined ? {} : { fields }),
    ...(wakes === 'one' && { forOne: true }),
    keepMs,
  })
  return { id, send: { target: { to: 'inbox', partition }, id, body } }
}

function fieldsOf(value: unknown): Readonly<Record<string, Scalar>> | undefined {
  const fields: Record<string, Scalar> = {}
  let left = MOST_FIELDS
  const visit = (x: unknown, path: string, depth: number): void => {
    if (isScalar(x)) {
      if (left-- > 0) fields[path] = x
    } else if (typeof x === 'object' && x !== null && depth < MOST_DEPTH) {
      for (const [name, inner] of Object.entries(x)) {
        if (left <= 0) return
        visit(inner, path === '' ? name : `${path}.${name}`, depth + 1)
      }
    }
  }
  visit(value, '', 0)
  return left === MOST_FIELDS ? undefined : fields
}

function isScalar(x: unknown): x is Scalar {
  if (typeof x === 'string') return x.length <= MOST_TEXT
  return x === null || typeof x === 'boolean' || (typeof x === 'number' && Number.isFinite(x))
}

function checkFields(fields: Readonly<Record<string, Scalar>>): Readonly<Record<string, Scalar>> {
  if (typeof fields !== 'object' || fields === null || !Object.values(fields).every(isScalar))
    throw badOption('fields', 'an object of short texts, numbers, booleans and nulls', fields)
  if (Object.keys(fields).length > MOST_FIELDS)
    throw new TaskError('TASKS_OPTIONS', `fields: at most ${MOST_FIELDS}, not ${Object.keys(fields).length}`)
  return fields
}
