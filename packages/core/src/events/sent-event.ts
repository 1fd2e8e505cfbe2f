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
import { checkFields, fieldsOf } from './event-fields'

export interface SendEventOptions {
  readonly key: string
  /** What `waitForEvent` gives; at most 32 KiB, for it travels in messages and rows. Of what is larger send where it is. */
  readonly value?: unknown
  /** The pipeline that it is for: it may be submitted later. Default: whoever waits in the namespace. */
  readonly pipelineId?: string
  /** Sent again under the same id it has no effect, for as long as it is kept. Default: a new one. */
  readonly id?: string
  /** Who gets it of those who wait by then: all, or one of them, as a message of a queue; whichever, for they are in no order. Default `all`. */
  readonly wakes?: 'all' | 'one'
  /** How long it is kept for whoever waits for it later, in ms. Default 7 days. */
  readonly keepMs?: number
  /**
   * What `match` may look at: at most 100, texts of at most 256 characters. Default: the first 100 texts, numbers, booleans and nulls in the value, by path, no
   * deeper than five names. They are sent beside it as they are.
   */
  readonly fields?: Readonly<Record<string, Scalar>>
}

const KEPT_MS = 7 * 24 * 3_600_000
const OPTIONS = ['key', 'value', 'pipelineId', 'id', 'wakes', 'keepMs', 'fields']

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
