// To workers.
import type { ArgsData, Step } from '../definition'
import { decodeRecord, encodeRecord, type Payload } from '../record'
import type { RetryData } from '../retry'
import type { State } from '../state'
import type { Bytes } from '../transport'
import { NONE, type Kind, type Value } from '../value'
import { checkVersion, WIRE_VERSION } from './version'

/**
 * One task to run, of a pipeline or alone. On its way a lone task says what is its own only: its id is that of the message that carries it, and it is at its first attempt
 * (a later one is a pipeline's).
 */
export interface TaskMessage {
  readonly type: 'task'
  /** The pipeline's id, or the lone task's. */
  readonly id: string
  /** The run; '' for a lone task. */
  readonly run: string
  /** The entry's path; '' for a lone task. */
  readonly path: string
  readonly attempt: number
  readonly task: string
  /** How often the owner has sent this attempt again, after a loss. Counts towards `maxDeliveries`. */
  readonly resends: number
  /** When it was first sent, ms since the epoch. */
  readonly sentAt: number
  readonly options: TaskMessageOptions
  /** The upstream value; kind `none` if the entry takes none. */
  readonly input: Value
  /** The entry's own arguments: kind `spread`, `reference` or `none`. */
  readonly args: Value
  /** In place of `args`, of a task that was handed over in memory: as its definition has them. Never sent. */
  readonly argsText?: string | undefined
  /** The pipeline's state, see state.ts. */
  readonly state: State
}

/** An entry whose task is to run with what the one before it gives, in the same process. */
export type Following = readonly [index: number, step: Step, args?: ArgsData]

export interface TaskMessageOptions {
  readonly timeoutMs?: number
  readonly retry?: RetryData
  readonly queue?: string
  readonly priority?: number
  readonly meta?: Readonly<Record<string, unknown>>
  /** Lone tasks: who waits for the result. */
  readonly replyTo?: string
  /** The entry's own name, if it was given one. */
  readonly taskId?: string
  /** A finally: runs also when its pipeline has been cancelled. */
  readonly final?: 1
  /** Entries that follow: see engine/following.ts. */
  readonly following?: readonly Following[]
}

export const NO_OPTIONS: TaskMessageOptions = Object.freeze({})

export function encodeTask(message: Omit<TaskMessage, 'type' | 'state'> & { readonly state?: State }): Bytes {
  const { id, run, path, attempt, task, resends, sentAt, options, input, args, state } = message
  const header: unknown[] = [
    WIRE_VERSION,
    't',
    id,
    run,
    path,
    attempt,
    task,
    resends,
    sentAt,
    options === NO_OPTIONS ? 0 : options,
    input.kind,
    input.bytes.length,
    args.kind,
    args.bytes.length,
  ]
  if (state === undefined) return encodeRecord(header, [input.bytes, args.bytes])
  header.push(state.length)
  return encodeRecord(header, [input.bytes, args.bytes, state])
}

export function encodeLoneTask({
  task,
  sentAt,
  options,
  args,
}: Pick<TaskMessage, 'task' | 'sentAt' | 'options' | 'args'>): Bytes {
  return encodeRecord([WIRE_VERSION, 'l', task, sentAt, options === NO_OPTIONS ? 0 : options, args.kind], [args.bytes])
}

/** @param id of the message that carried it */
export function decodeTask(bytes: Bytes, id: string): TaskMessage {
  const { header, payload } = decodeRecord(bytes)
  if (header[1] === 'l') return loneTask(id, header, payload)
  return pipelineTask(header, payload)
}

function loneTask(id: string, header: readonly unknown[], payload: Payload): TaskMessage {
  checkVersion(header)
  const [, , task, sentAt, options, kind] = header as [number, string, string, number, TaskMessageOptions | 0, Kind]
  return {
    type: 'task',
    id,
    run: '',
    path: '',
    attempt: 1,
    task,
    resends: 0,
    sentAt,
    options: options === 0 ? NO_OPTIONS : options,
    input: NONE,
    args: { kind, bytes: payload.take(payload.left) },
    argsText: undefined,
    state: undefined,
  }
}

function pipelineTask(header: readonly unknown[], payload: Payload): TaskMessage {
  checkVersion(header, 't')
  const [
    ,
    ,
    id,
    run,
    path,
    attempt,
    task,
    resends,
    sentAt,
    options,
    inputKind,
    inputLength,
    argsKind,
    argsLength,
    stateLength,
  ] = header as [
    number,
    string,
    string,
    string,
    string,
    number,
    string,
    number,
    number,
    TaskMessageOptions | 0,
    Kind,
    number,
    Kind,
    number,
    number?,
  ]
  return {
    type: 'task',
    id,
    run,
    path,
    attempt,
    task,
    resends,
    sentAt,
    options: options === 0 ? NO_OPTIONS : options,
    input: { kind: inputKind, bytes: payload.take(inputLength) },
    args: { kind: argsKind, bytes: payload.take(argsLength) },
    argsText: undefined,
    state: stateLength === undefined ? undefined : payload.take(stateLength),
  }
}
