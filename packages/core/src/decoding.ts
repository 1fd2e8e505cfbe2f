// From values on the wire to what users see: in workers as arguments, in clients as results.
import type { Codec } from './codec'
import { TaskError } from './errors'
import { fromFailure, type Failure } from './failure'
import { asBuffer } from './record'
import { FrameReader, Kind, type GroupFailures, type Value } from './value'

/** What a value is to a user. Failures come back as errors, not thrown: they may be results of a group that returns exceptions. */
export function decodeValue(codec: Codec, value: Value): unknown {
  switch (value.kind) {
    case Kind.none:
      return undefined
    case Kind.one:
    case Kind.spread:
      return codec.decode(value.bytes)
    case Kind.set: {
      const results: unknown[] = []
      for (const reader = new FrameReader(value.bytes); !reader.done;) results.push(decodeNext(codec, reader))
      return results
    }
    case Kind.error:
    case Kind.errors:
      return decodeFailure(value)
    case Kind.reference:
    case Kind.pipeline:
    case Kind.state:
      throw new TaskError('TASKS_UNDECODABLE', 'a reference or a definition stands where a value belongs')
  }
}

/** A short text, as most results are, needs no object for its bytes. */
function decodeNext(codec: Codec, reader: FrameReader): unknown {
  const text = codec.decodeText !== undefined && reader.kind === Kind.one ? reader.shortText() : undefined
  return text === undefined ? decodeValue(codec, reader.value()) : codec.decodeText!(text)
}

/** The arguments that a value passes on. */
export function decodeArguments(codec: Codec, value: Value): unknown[] {
  if (value.kind === Kind.none) return []
  const decoded = decodeValue(codec, value)
  return value.kind === Kind.spread ? listOf(decoded) : [decoded]
}

/** The same of an entry's own arguments, as its definition has them. */
export function decodeArgumentsText(codec: Codec, text: string): unknown[] {
  if (codec.decodeText === undefined) return decodeArguments(codec, { kind: Kind.spread, bytes: Buffer.from(text) })
  return listOf(codec.decodeText(text))
}

function listOf(decoded: unknown): unknown[] {
  if (!Array.isArray(decoded)) throw new TaskError('TASKS_UNDECODABLE', 'the arguments of a task are not a list')
  return decoded as unknown[]
}

/**
 * The error that a failure is.
 * @param index which chain of a group failed with it, if it is a cause
 */
export function decodeFailure(value: Value, index?: number): TaskError {
  if (value.kind === Kind.error) {
    const failure = JSON.parse(asBuffer(value.bytes).toString()) as Failure
    return fromFailure(index === undefined ? failure : { ...failure, index })
  }
  const reader = new FrameReader(value.bytes)
  const { count, size, indexes, suppressed } = JSON.parse(asBuffer(reader.value().bytes).toString()) as GroupFailures
  const errors: TaskError[] = []
  while (!reader.done) errors.push(decodeFailure(reader.value(), indexes[errors.length]))
  const first = errors[0]
  const message = `${count} of ${size} chains of a group failed${first === undefined ? '' : `; the first: ${first.message}`}`
  return new TaskError('TASKS_GROUP_FAILED', message, {
    errors,
    errorCount: count,
    index,
    suppressed: suppressed?.map(fromFailure),
  })
}
