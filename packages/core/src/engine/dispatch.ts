// From a due entry to the message that asks a worker to run it.
import {
  dataBytes,
  isEach,
  isEvent,
  isSleep,
  isTask,
  isValue,
  type ArgsData,
  type Chain,
  type Definition,
  type EachEntry,
  type Step,
  type TaskEntry,
  type ValueEntry,
} from '../definition'
import { encodeReference, Kind, NONE, type Value } from '../value'
import { encodeTask, NO_OPTIONS, type TaskMessageOptions } from '../wire/task-message'
import type { Bytes } from '../transport'
import type { Dispatch } from './draft'

/** An entry's own arguments as a value: always a list, whoever decodes it. */
export function argsValue(args: ArgsData | undefined): Value {
  return args === undefined ? NONE : valueOf(args, Kind.spread)
}

export const givenValue = ({ value }: ValueEntry): Value => valueOf(value, Kind.one)

function valueOf(data: ArgsData, kind: Kind): Value {
  if (typeof data === 'string' || 'b64' in data) return { kind, bytes: dataBytes(data) }
  const [name, length, crc32] = data.ref
  return encodeReference({ name, kind, length, crc32 })
}

export function taskOptions({
  step,
  meta,
  final,
  following,
}: Pick<Dispatch, 'step' | 'meta' | 'final' | 'following'>): TaskMessageOptions {
  const { timeoutMs, retry, taskId } = step
  const isPlain = timeoutMs === undefined && retry === undefined && taskId === undefined && following === undefined
  if (isPlain && meta === undefined && !final) return NO_OPTIONS
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(retry === undefined ? {} : { retry }),
    ...(taskId === undefined ? {} : { taskId }),
    ...(meta === undefined ? {} : { meta }),
    ...(final ? { final: 1 } : {}),
    ...(following === undefined ? {} : { following }),
  }
}

/** An entry's own arguments for a worker of this process, if they are text: the codec may take it as it is. */
export const textOfArgs = (args: ArgsData | undefined): string | undefined =>
  typeof args === 'string' ? args : undefined
/** The same of arguments that are no text. */
export const argsBesideText = (args: ArgsData | undefined): Value => (typeof args === 'string' ? NONE : argsValue(args))

/** The task that every worker knows: gives the group that an `each` entry stands for. */
export const EACH_TASK = '@tasks/each'

/** How an `each` entry is run: in the queue of its first task, by whoever serves that. */
export function eachStep({ steps }: Definition, { each }: EachEntry): Step {
  return { task: EACH_TASK, open: 1, ...queueOf(steps, each) }
}

/** The queue of the first task of a template, if that is not the default one. */
function queueOf(steps: readonly Step[], template: Chain): Pick<Step, 'queue'> {
  const first = firstTask(template)
  const queue = first && steps[first[0]]!.queue
  return queue === undefined ? {} : { queue }
}

function firstTask(chain: Chain): TaskEntry | undefined {
  for (const entry of chain) {
    const inner =
      isTask(entry) || isValue(entry) || isSleep(entry) || isEvent(entry)
        ? []
        : isEach(entry)
          ? [entry.each]
          : (entry.chains ?? [])
    const first = isTask(entry) ? entry : inner.map(firstTask).find((task) => task !== undefined)
    if (first !== undefined) return first
  }
  return undefined
}

/** What the worker that runs an `each` entry needs: the entry, and the steps that it names. */
export function eachArgs({ steps }: Definition, entry: EachEntry): ArgsData {
  return JSON.stringify({ steps, entry } satisfies EachTemplate)
}

export interface EachTemplate {
  readonly steps: readonly Step[]
  readonly entry: EachEntry
}

/** The message for the shared queue. */
export function encodeDispatch(dispatch: Dispatch, sentAt: number): Bytes {
  const { id, run, path, attempt, resends, step, input, args, state } = dispatch
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
    state,
  })
}
