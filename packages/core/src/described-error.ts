// An error in short, for people: in events, and in what `describe` says.
import type { Failure } from './failure'
import { asBuffer } from './record'
import { FrameReader, Kind, type GroupFailures, type Value } from './value'

/** What went wrong, in short: as JSON, for people. */
export interface DescribedError {
  readonly code: string
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** The task that failed. */
  readonly task?: Failure['task']
  /** How many chains failed, if it is the error of a group. */
  readonly errorCount?: number
}

const MOST_MESSAGE = 1_000
const MOST_STACK = 2_000

export function describeError(failure: Value): DescribedError {
  if (failure.kind === Kind.error) return shortened(JSON.parse(asBuffer(failure.bytes).toString()) as Failure)
  const reader = new FrameReader(failure.bytes)
  const { count, size } = JSON.parse(asBuffer(reader.value().bytes).toString()) as GroupFailures
  const first = reader.done ? '' : `; the first: ${describeError(reader.value()).message}`
  const message = `${count} of ${size} chains of a group failed${first}`
  return shortened({ code: 'TASKS_GROUP_FAILED', name: 'TaskError', message, errorCount: count })
}

function shortened({ code, name, message, stack, task, errorCount }: Failure): DescribedError {
  return {
    code,
    name,
    message: message.slice(0, MOST_MESSAGE),
    ...(stack === undefined ? {} : { stack: stack.slice(0, MOST_STACK) }),
    ...(task === undefined ? {} : { task }),
    ...(errorCount === undefined ? {} : { errorCount }),
  }
}
