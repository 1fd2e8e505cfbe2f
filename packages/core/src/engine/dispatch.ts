// From a due entry to the message that asks a worker to run it.
import type { ArgsData } from '../definition'
import { encodeReference, Kind, NONE, type Value } from '../value'
import { encodeTask, NO_OPTIONS, type TaskMessageOptions } from '../wire'
import type { Bytes } from '../transport'
import type { Dispatch } from './draft'

/** An entry's own arguments as a value: always a list, whoever decodes it. */
export function argsValue(args: ArgsData | undefined): Value {
  if (args === undefined) return NONE
  if (typeof args === 'string') return { kind: Kind.spread, bytes: Buffer.from(args) }
  if ('b64' in args) return { kind: Kind.spread, bytes: Buffer.from(args.b64, 'base64') }
  const [name, length, crc32] = args.ref
  return encodeReference({ name, kind: Kind.spread, length, crc32 })
}

export function taskOptions(dispatch: Dispatch): TaskMessageOptions {
  const { step, meta } = dispatch
  if (step.timeoutMs === undefined && step.retry === undefined && meta === undefined) return NO_OPTIONS
  return {
    ...(step.timeoutMs === undefined ? {} : { timeoutMs: step.timeoutMs }),
    ...(step.retry === undefined ? {} : { retry: step.retry }),
    ...(meta === undefined ? {} : { meta }),
  }
}

/** The message for the shared queue. */
export function encodeDispatch(dispatch: Dispatch, sentAt: number): Bytes {
  const { id, run, path, attempt, resends, step, input, args } = dispatch
  return encodeTask({
    id,
    run,
    path,
    attempt,
    resends,
    sentAt,
    task: step.task,
    options: taskOptions(dispatch),
    // A closed entry takes nothing from upstream.
    input: step.open === 1 ? input : NONE,
    args: argsValue(args),
  })
}
