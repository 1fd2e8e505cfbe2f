// Every message between clients, owners and workers, and its one encoding: a record (record.ts) whose header is a JSON array
// that starts with the wire version and a letter. A reader of version n reads n and n - 1; anything else is dead-lettered, not guessed.
import { TaskError } from './errors'
import type { RetryData } from './retry'
import { decodeRecord, encodeRecord, type Payload } from './record'
import type { State } from './state'
import type { Bytes } from './transport'
import { type Kind, type Value } from './value'

export const WIRE_VERSION = 1

// ---- Definitions in transit ----------------------------------------------------------------------------------------

/** A definition as it travels: its pages, or the blob that holds them. */
export interface PackedDefinition {
  readonly hash: string
  /** Task entries in it: what progress counts to. */
  readonly tasks: number
  readonly pages: readonly Bytes[]
  /** The blob's name under the pipeline's prefix, if the pages are not here. */
  readonly blob?: string
  readonly pageCount: number
}

type DefinitionHeader = [hash: string, tasks: number, lengths: number[], blob: string | 0, pages: number]

function definitionHeader(definition: PackedDefinition): DefinitionHeader {
  const { hash, tasks, pages, blob, pageCount } = definition
  return [hash, tasks, pages.map((page) => page.length), blob ?? 0, pageCount]
}

function definitionOf(header: DefinitionHeader, payload: Payload): PackedDefinition {
  const [hash, tasks, lengths, blob, pageCount] = header
  const pages = lengths.map((length) => payload.take(length))
  return blob === 0 ? { hash, tasks, pages, pageCount } : { hash, tasks, pages, blob, pageCount }
}

/** The bytes of a value of kind `pipeline`. */
export function encodeDefinitionValue(definition: PackedDefinition): Bytes {
  return encodeRecord(definitionHeader(definition), definition.pages)
}

export function decodeDefinitionValue(bytes: Bytes): PackedDefinition {
  const { header, payload } = decodeRecord(bytes)
  return definitionOf(header as unknown as DefinitionHeader, payload)
}

// ---- To workers ----------------------------------------------------------------------------------------------------

/** One task to run, of a pipeline or alone. */
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
  readonly argsText?: string
  /** The pipeline's state, see state.ts. */
  readonly state: State
}

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
}

export const NO_OPTIONS: TaskMessageOptions = Object.freeze({})

export function encodeTask(message: Omit<TaskMessage, 'type' | 'state'> & { readonly state?: State }): Bytes {
  const { id, run, path, attempt, task, resends, sentAt, options, input, args, state } = message
  return encodeRecord(
    [
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
      ...(state === undefined ? [] : [state.length]),
    ],
    state === undefined ? [input.bytes, args.bytes] : [input.bytes, args.bytes, state],
  )
}

export function decodeTask(bytes: Bytes): TaskMessage {
  const { header, payload } = decodeRecord(bytes)
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
    state: stateLength === undefined ? undefined : payload.take(stateLength),
  }
}

// ---- To owners -----------------------------------------------------------------------------------------------------

export interface SubmitOptions {
  readonly meta?: Readonly<Record<string, unknown>>
  /** Where the submitter waits for the result. */
  readonly replyTo?: string
  /** What to do if the id exists. Default `return`: the run that exists, if the definition is the same. */
  readonly onDuplicate?: 'reject' | 'restart'
  readonly retentionMs?: number
  /** Start at this time, ms since the epoch. */
  readonly runAt?: number
  /** A lone task: kept only as a tombstone, dead-lettered if it fails. */
  readonly lone?: 1
  /** A lone task whose first attempts failed: goes on with this failure of this attempt. */
  readonly failed?: { readonly attempt: number; readonly verdict: Verdict }
}

export interface SubmitMessage {
  readonly type: 'submit'
  readonly id: string
  readonly run: string
  readonly options: SubmitOptions
  readonly definition: PackedDefinition
  /** With `options.failed`: the failure. */
  readonly failure?: Value
}

/** What the worker says of a failure. Only it knows the task's classes and predicates; only the reducer decides. */
export interface Verdict {
  readonly retryable: boolean
  /** A `RetryAfterError` asked for this delay. */
  readonly retryAfterMs?: number
  /** The policy that the task was bound with, used where the definition has none. */
  readonly retry?: RetryData
}

export interface Outcome {
  readonly id: string
  readonly run: string
  readonly path: string
  readonly attempt: number
  readonly value: Value
  /** Present if the value is a failure. */
  readonly verdict?: Verdict
  /** What a task that succeeded has set of the pipeline's state. */
  readonly state?: Bytes | undefined
}

export interface OutcomesMessage {
  readonly type: 'outcomes'
  readonly outcomes: readonly Outcome[]
}

/** What a worker has been running, or holding, for longer than a lease: not to be sent again. Notes of progress ride on it. */
export interface RunningMessage {
  readonly type: 'running'
  readonly items: readonly RunningItem[]
}

/** `note`: what the task has said of its progress since the last report. */
export type RunningItem = readonly [
  id: string,
  run: string,
  path: string,
  attempt: number,
  note?: readonly [fraction: number, text: string],
]

export interface QueryMessage {
  readonly type: 'query'
  readonly question: Question
  readonly replyTo: string
  /** Pairs the answer with the question. */
  readonly correlation: string
}

export type Question =
  /** Answered at once if the run has ended, or is not there, else when it does. */
  { readonly ask: 'wait'; readonly runs: readonly WaitedRun[] } | Look

/** Answered from committed rows, beside whatever else there is to do. */
export type Look =
  | ({ readonly ask: 'status' } & MeantRun)
  | ({ readonly ask: 'describe' } & DescribeQuestion)
  | ({ readonly ask: 'list' } & ListQuestion)

/** A pipeline, for whoever holds a run of it: nothing is told of a run that is not theirs. `hash`: of what they submitted. */
export interface MeantRun {
  readonly id: string
  readonly run?: string
  readonly hash?: string
}

export interface DescribeQuestion extends MeantRun {
  /** The most that is told of each group, and of each chain. */
  readonly maxChains: number
  readonly maxEntries: number
  /** Tell the failures of this group, or of the one that failed the run, of chains after this one. */
  readonly failuresOf?: string
  readonly failuresAfter?: number
}

export interface ListQuestion {
  /** A key. */
  readonly after?: string
  readonly limit: number
  readonly status?: string
  readonly name?: string
  /** Those created at this time or later. */
  readonly since?: number
}

/**
 * `fresh`: it was submitted only now, and its submit may still be on its way: inboxes have no order. `hash`: of what was submitted, so that nobody
 * gets the outcome of another definition with the same id.
 */
export type WaitedRun = readonly [id: string, run: string | 0, fresh?: 0 | 1, hash?: string]

export const COMMANDS = ['pause', 'resume', 'cancel', 'retry', 'delete'] as const

export type Command = (typeof COMMANDS)[number]

/** Something is done to a pipeline from outside. */
export interface CommandMessage {
  readonly type: 'command'
  readonly command: Command
  readonly id: string
  /** Of this command, also when it is sent again. */
  readonly commandId: string
  readonly replyTo: string
  readonly correlation: string
  /** `cancel`: how long what is with workers is waited for, in ms. */
  readonly graceMs?: number
}

export type InboxBody = SubmitMessage | OutcomesMessage | RunningMessage | CommandMessage | QueryMessage

export function encodeInbox(message: InboxBody): Bytes {
  switch (message.type) {
    case 'submit': {
      const { id, run, options, definition, failure } = message
      const parts = failure === undefined ? definition.pages : [...definition.pages, failure.bytes]
      return encodeRecord(
        [
          WIRE_VERSION,
          's',
          id,
          run,
          options,
          definitionHeader(definition),
          failure === undefined ? 0 : [failure.kind, failure.bytes.length],
        ],
        parts,
      )
    }
    case 'outcomes':
      return encodeRecord(
        [
          WIRE_VERSION,
          'o',
          message.outcomes.map(({ id, run, path, attempt, value, verdict, state }) =>
            state !== undefined
              ? [id, run, path, attempt, value.kind, value.bytes.length, 0, state.length]
              : verdict === undefined
                ? [id, run, path, attempt, value.kind, value.bytes.length]
                : [id, run, path, attempt, value.kind, value.bytes.length, verdict],
          ),
        ],
        message.outcomes.flatMap(({ value, state }) => (state === undefined ? value.bytes : [value.bytes, state])),
      )
    case 'running':
      return encodeRecord([WIRE_VERSION, 'r', message.items])
    case 'command': {
      const { command, id, commandId, replyTo, correlation, graceMs } = message
      return encodeRecord([WIRE_VERSION, 'c', command, id, commandId, replyTo, correlation, graceMs ?? 0])
    }
    case 'query':
      return encodeRecord([WIRE_VERSION, 'q', message.question, message.replyTo, message.correlation])
  }
}

type OutcomeHeader = [
  id: string,
  run: string,
  path: string,
  attempt: number,
  kind: Kind,
  length: number,
  verdict?: Verdict | 0,
  stateLength?: number,
]

export function decodeInbox(bytes: Bytes): InboxBody {
  const { header, payload } = decodeRecord(bytes)
  checkVersion(header)
  switch (header[1]) {
    case 's': {
      const [, , id, run, options, definition, failure] = header as [
        number,
        string,
        string,
        string,
        SubmitOptions,
        DefinitionHeader,
        [Kind, number] | 0,
      ]
      const packed = definitionOf(definition, payload)
      return failure === 0
        ? { type: 'submit', id, run, options, definition: packed }
        : {
            type: 'submit',
            id,
            run,
            options,
            definition: packed,
            failure: { kind: failure[0], bytes: payload.take(failure[1]) },
          }
    }
    case 'o':
      return {
        type: 'outcomes',
        outcomes: (header[2] as OutcomeHeader[]).map(([id, run, path, attempt, kind, length, verdict, stateLength]) => {
          const value = { kind, bytes: payload.take(length) }
          if (stateLength !== undefined) return { id, run, path, attempt, value, state: payload.take(stateLength) }
          return verdict === undefined || verdict === 0
            ? { id, run, path, attempt, value }
            : { id, run, path, attempt, value, verdict }
        }),
      }
    case 'r':
      return { type: 'running', items: header[2] as RunningMessage['items'] }
    case 'c': {
      const [, , command, id, commandId, replyTo, correlation, graceMs] = header as [
        number,
        string,
        Command,
        string,
        string,
        string,
        string,
        number,
      ]
      if (!COMMANDS.includes(command))
        throw new TaskError('TASKS_UNDECODABLE', `there is no command ${JSON.stringify(command)}`)
      return {
        type: 'command',
        command,
        id,
        commandId,
        replyTo,
        correlation,
        ...(graceMs === 0 ? {} : { graceMs }),
      }
    }
    case 'q':
      return {
        type: 'query',
        question: header[2] as Question,
        replyTo: header[3] as string,
        correlation: header[4] as string,
      }
    default:
      throw new TaskError('TASKS_UNDECODABLE', `an inbox message has the unknown type ${JSON.stringify(header[1])}`)
  }
}

/**
 * The entries that an unreadable message names, if its header can still be read: so that they fail instead of hanging.
 * (protocol: an inbox message with a readable header and an unreadable body fails the entry that it names.)
 */
export function entriesNamedBy(bytes: Bytes): readonly Omit<Outcome, 'value' | 'verdict'>[] {
  try {
    const { header } = decodeRecord(bytes)
    if (header[1] !== 'o' || !Array.isArray(header[2])) return []
    return (header[2] as OutcomeHeader[])
      .filter(
        ([id, run, path, attempt]) =>
          typeof id === 'string' && typeof run === 'string' && typeof path === 'string' && typeof attempt === 'number',
      )
      .map(([id, run, path, attempt]) => ({ id, run, path, attempt }))
  } catch {
    return []
  }
}

// ---- To clients ----------------------------------------------------------------------------------------------------

export type Status = 'PENDING' | 'RUNNING' | 'PAUSED' | 'CANCELLING' | 'COMPLETED' | 'FAILED' | 'CANCELLED'

export type ReplyBody =
  /** A run has ended. */
  | {
      readonly type: 'ended'
      readonly id: string
      readonly run: string
      readonly status: Status
      readonly value: Value
    }
  /** Who submitted, or asked for, `run` has to do with the run `actual` of this id. */
  | { readonly type: 'attached'; readonly id: string; readonly run: string; readonly actual: string }
  /** A submit was taken (asked for by `onDuplicate`). */
  | { readonly type: 'accepted'; readonly id: string; readonly run: string }
  /** A submit was refused. `failure` is a `Failure`. */
  | { readonly type: 'refused'; readonly id: string; readonly run: string; readonly failure: unknown }
  | {
      readonly type: 'answer'
      readonly correlation: string
      readonly partition: number
      readonly epoch: number
      readonly seq: number
      readonly answer: unknown
    }

export function encodeReply(reply: ReplyBody): Bytes {
  switch (reply.type) {
    case 'ended':
      return encodeRecord([WIRE_VERSION, 'e', reply.id, reply.run, reply.status, reply.value.kind], [reply.value.bytes])
    case 'attached':
      return encodeRecord([WIRE_VERSION, 'b', reply.id, reply.run, reply.actual])
    case 'accepted':
      return encodeRecord([WIRE_VERSION, 'k', reply.id, reply.run])
    case 'refused':
      return encodeRecord([WIRE_VERSION, 'x', reply.id, reply.run, reply.failure])
    case 'answer':
      return encodeRecord([WIRE_VERSION, 'a', reply.correlation, reply.partition, reply.epoch, reply.seq, reply.answer])
  }
}

export function decodeReply(bytes: Bytes): ReplyBody {
  const { header, payload } = decodeRecord(bytes)
  checkVersion(header)
  switch (header[1]) {
    case 'e': {
      const [, , id, run, status, kind] = header as [number, string, string, string, Status, Kind]
      return { type: 'ended', id, run, status, value: { kind, bytes: payload.take(payload.left) } }
    }
    case 'b':
      return { type: 'attached', id: header[2] as string, run: header[3] as string, actual: header[4] as string }
    case 'k':
      return { type: 'accepted', id: header[2] as string, run: header[3] as string }
    case 'x':
      return { type: 'refused', id: header[2] as string, run: header[3] as string, failure: header[4] }
    case 'a':
      return {
        type: 'answer',
        correlation: header[2] as string,
        partition: header[3] as number,
        epoch: header[4] as number,
        seq: header[5] as number,
        answer: header[6],
      }
    default:
      throw new TaskError('TASKS_UNDECODABLE', `a reply has the unknown type ${JSON.stringify(header[1])}`)
  }
}

// ---- To everyone: best-effort broadcasts ---------------------------------------------------------------------------

/** These runs are being cancelled: workers need not begin, or end, what they have of them. */
export interface CancelledSignal {
  readonly type: 'cancelled'
  readonly runs: readonly { readonly id: string; readonly run: string }[]
}

export function encodeSignal({ runs }: CancelledSignal): Bytes {
  return encodeRecord([WIRE_VERSION, 'x', runs.map(({ id, run }) => [id, run])])
}

/** Undefined if it is of another kind, or version: signals are only hints. */
export function decodeSignal(bytes: Bytes): CancelledSignal | undefined {
  const { header } = decodeRecord(bytes)
  if (header[0] !== WIRE_VERSION || header[1] !== 'x') return undefined
  return { type: 'cancelled', runs: (header[2] as [string, string][]).map(([id, run]) => ({ id, run })) }
}

function checkVersion(header: readonly unknown[], type?: string): void {
  if (header[0] !== WIRE_VERSION) {
    throw new TaskError(
      'TASKS_UNDECODABLE',
      `a message has wire version ${JSON.stringify(header[0])}; this version reads ${WIRE_VERSION}`,
    )
  }
  if (type !== undefined && header[1] !== type) {
    throw new TaskError(
      'TASKS_UNDECODABLE',
      `a message has type ${JSON.stringify(header[1])} where ${JSON.stringify(type)} belongs`,
    )
  }
}
