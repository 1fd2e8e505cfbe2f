// Names and ids: what is allowed, how they become a segment of a key, and which partition they fall on.
import { TaskError } from './errors'

const MAX_BYTES = 256
// Control characters break keys and terminals; a lone surrogate has no UTF-8 form, so that two ids would become one.
const FORBIDDEN = /[\p{Cc}\p{Cs}]/u

/**
 * @param kind what the id is for, for the message: `pipeline id`
 * @returns the id
 * @throws TaskError TASKS_ID_INVALID unless it has 1 to 256 UTF-8 bytes and no control characters or lone surrogates
 */
export function checkId(kind: string, id: string): string {
  if (typeof id !== 'string') throw invalid(kind, id, 'must be a string')
  if (id === '') throw invalid(kind, id, 'must not be empty')
  // A UTF-16 unit is at most three bytes, so that short ids need no count.
  if (id.length > MAX_BYTES / 3) {
    const bytes = Buffer.byteLength(id)
    if (bytes > MAX_BYTES) throw invalid(kind, id, `must have at most ${MAX_BYTES} bytes, not ${bytes}`)
  }
  if (FORBIDDEN.test(id)) throw invalid(kind, id, 'must have no control characters and no lone surrogates')
  return id
}

/** As `checkId`, and no space at either end: a name is typed by people. */
export function checkTaskName(name: string): string {
  checkId('task name', name)
  if (name.trim() !== name) throw invalid('task name', name, 'must not begin or end with a space')
  return name
}

/**
 * @throws TaskError TASKS_ID_INVALID unless it has 1 to 64 of `A-Z a-z 0-9 . _ -` and begins with a letter or digit: brokers
 * make streams, topics and files of it
 */
export function checkNamespace(namespace: string): string {
  if (typeof namespace !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(namespace)) {
    throw invalid(
      'namespace',
      namespace,
      'must have 1 to 64 letters, digits, ".", "_" or "-", and begin with a letter or digit',
    )
  }
  return namespace
}

/** @throws TaskError TASKS_ID_INVALID unless it has 1 to 128 of `A-Z a-z 0-9 . _ : -` and begins with a letter or digit */
export function checkQueueName(queue: string): string {
  if (typeof queue !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/.test(queue)) {
    throw invalid(
      'queue',
      queue,
      'must have 1 to 128 letters, digits, ".", "_", ":" or "-", and begin with a letter or digit',
    )
  }
  return queue
}

function invalid(kind: string, value: unknown, why: string): TaskError {
  const shown =
    typeof value === 'string' ? JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value) : String(value)
  return new TaskError('TASKS_ID_INVALID', `${kind} ${shown} ${why}`)
}

// eslint-disable-next-line no-control-regex -- these are what is escaped
const TO_ESCAPE = /[%/\u0000-\u001f\u007f-\u009f]/

/** Makes an id one segment of a key: `%`, `/` and control characters are percent-escaped, by UTF-8 bytes. */
export function escapeId(id: string): string {
  return TO_ESCAPE.test(id) ? id.replace(new RegExp(TO_ESCAPE, 'g'), encodeURIComponent) : id
}

/** The id that `escapeId` made this segment of. */
export function unescapeId(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return segment.replace(/(?:%[0-9A-F]{2})+/g, decodeURIComponent)
  } catch (cause) {
    throw new TaskError('TASKS_ID_INVALID', `key segment ${JSON.stringify(segment)} is not an escaped id`, { cause })
  }
}

/**
 * Which partition an id lives in: FNV-1a (32 bits) over its UTF-8 bytes, a final mix, modulo. The same on every transport and in every
 * version: a stored pipeline is found by it.
 */
export function partitionOf(id: string, partitions: number): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i)
    if (unit > 127) {
      hash = 0x811c9dc5
      for (const byte of Buffer.from(id)) hash = Math.imul(hash ^ byte, 0x01000193)
      break
    }
    hash = Math.imul(hash ^ unit, 0x01000193)
  }
  // The low bits of FNV-1a depend on the low bits of the input only; partition counts are small.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) % partitions
}
