// To owners: submits, outcomes, commands, questions.
import type { Scalar } from '../definition'
import { TaskError } from '../errors'
import { decodeRecord, encodeRecord, type Payload } from '../record'
import type { RetryData } from '../retry'
import type { Bytes } from '../transport'
import type { Kind, Value } from '../value'
import { definitionHeader, definitionOf, type DefinitionHeader, type PackedDefinition } from './packed-definition'
import { checkVersion, WIRE_VERSION } from './version'

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
  /** Entries before it that ran in the same go, and ended well: see engine/following.ts. */
  readonly passed?: readonly PassedEntry[]
}

export interface PassedEntry {
  readonly path: string
  readonly attempt: number
  /** None if nobody needs it again. */
  readonly value: Value
}

/** How much room it takes in a message at most: what the header needs is about what the ids are long. */
export function outcomeBytes({ id, run, path, value, verdict, state, passed }: Outcome): number {
  let bytes = value.bytes.length + (state?.length ?? 0) + id.length + run.length + path.length + 100
  if (verdict !== undefined) bytes += 200
  for (const one of passed ?? []) bytes += one.path.length + 20 + one.value.bytes.length
  return bytes
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

/** Where a list goes on. */
export interface ListPosition {
  /** The key of a pipeline: after it, */
  readonly after: string
  /** or, after this place, among what its tasks have returned. */
  readonly within?: string
}

export interface ListQuestion extends Partial<ListPosition> {
  readonly limit: number
  /** With what their tasks have returned. */
  readonly returned?: 1
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

/** Somebody sends an event: to a pipeline, or to the namespace. */
export interface EventMessage {
  readonly type: 'event'
  readonly key: string
  readonly pipelineId?: string
  /** Sent again, it is the same. */
  readonly eventId: string
  readonly value: Value
  /** What `match` may look at. */
  readonly fields?: Readonly<Record<string, Scalar>>
  /** Wakes one of those who wait, not all of them. */
  readonly forOne?: true
  /** How long it is kept for whoever waits for it later, and its id remembered, in ms. */
  readonly keepMs: number
}

/** An entry that waits for an event. */
export interface WaiterName {
  readonly id: string
  readonly run: string
  readonly path: string
}

/** A pipeline waits for an event of this address. */
export interface WaitMessage extends WaiterName {
  readonly type: 'wait'
  readonly address: string
  readonly match?: Readonly<Record<string, Scalar>> | undefined
}

export interface UnwaitMessage extends WaiterName {
  readonly type: 'unwait'
  readonly address: string
}

/** A pipeline is asked to take an event. */
export interface OfferMessage extends WaiterName {
  readonly type: 'offer'
  readonly address: string
  /** Of the event, at its address. */
  readonly number: number
  readonly value: Value
}

export interface TakenMessage extends WaiterName {
  readonly type: 'taken'
  readonly address: string
  readonly number: number
  readonly accepted: boolean
}

/** What pipelines and addresses of events say to each other. */
export type TalkMessage = WaitMessage | UnwaitMessage | OfferMessage | TakenMessage

export type InboxBody =
  | SubmitMessage
  | OutcomesMessage
  | RunningMessage
  | CommandMessage
  | QueryMessage
  | EventMessage
  | TalkMessage

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
          message.outcomes.map(({ id, run, path, attempt, value, verdict, state, passed }) =>
            passed !== undefined
              ? [
                  id,
                  run,
                  path,
                  attempt,
                  value.kind,
                  value.bytes.length,
                  verdict ?? 0,
                  state?.length ?? -1,
                  passed.map((one) => [one.path, one.attempt, one.value.kind, one.value.bytes.length]),
                ]
              : state !== undefined
                ? [id, run, path, attempt, value.kind, value.bytes.length, 0, state.length]
                : verdict === undefined
                  ? [id, run, path, attempt, value.kind, value.bytes.length]
                  : [id, run, path, attempt, value.kind, value.bytes.length, verdict],
          ),
        ],
        message.outcomes.flatMap(({ value, state, passed }) =>
          state === undefined && passed === undefined
            ? value.bytes
            : [value.bytes, ...(state === undefined ? [] : [state]), ...(passed ?? []).map((one) => one.value.bytes)],
        ),
      )
    case 'running':
      return encodeRecord([WIRE_VERSION, 'r', message.items])
    case 'command': {
      const { command, id, commandId, replyTo, correlation, graceMs } = message
      return encodeRecord([WIRE_VERSION, 'c', command, id, commandId, replyTo, correlation, graceMs ?? 0])
    }
    case 'event': {
      const { type: _, value, ...rest } = message
      return encodeRecord([WIRE_VERSION, 'e', rest, value.kind, value.bytes.length], [value.bytes])
    }
    case 'wait':
    case 'unwait':
    case 'taken':
      return encodeRecord([WIRE_VERSION, 't', message])
    case 'offer': {
      const { value, ...rest } = message
      return encodeRecord([WIRE_VERSION, 't', rest, value.kind, value.bytes.length], [value.bytes])
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
  passed?: readonly PassedHeader[],
]

type PassedHeader = readonly [path: string, attempt: number, kind: Kind, length: number]

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
        outcomes: (header[2] as OutcomeHeader[]).map(
          ([id, run, path, attempt, kind, length, verdict, stateLength = -1, passed]) => {
            const value = { kind, bytes: payload.take(length) }
            const outcome: Outcome =
              stateLength >= 0
                ? { id, run, path, attempt, value, state: payload.take(stateLength) }
                : verdict === undefined || verdict === 0
                  ? { id, run, path, attempt, value }
                  : { id, run, path, attempt, value, verdict }
            return passed === undefined ? outcome : { ...outcome, passed: passed.map((one) => passedOf(one, payload)) }
          },
        ),
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
    case 'e': {
      const [, , rest, kind, length] = header as [number, string, Omit<EventMessage, 'type' | 'value'>, Kind, number]
      return { type: 'event', ...rest, value: { kind, bytes: payload.take(length) } }
    }
    case 't': {
      const [, , talk, kind, length] = header as [number, string, TalkMessage, Kind?, number?]
      if (!TALK.has((talk as Partial<TalkMessage> | null)?.type)) throw unknownType(header[1])
      return kind === undefined ? talk : { ...(talk as OfferMessage), value: { kind, bytes: payload.take(length!) } }
    }
    default:
      throw unknownType(header[1])
  }
}

function passedOf([path, attempt, kind, length]: PassedHeader, payload: Payload): PassedEntry {
  return { path, attempt, value: { kind, bytes: payload.take(length) } }
}

/** What entities say to each other: anything else would be taken for one of our own by whoever folds it. */
const TALK: ReadonlySet<unknown> = new Set(['wait', 'unwait', 'taken', 'offer'] satisfies TalkMessage['type'][])

function unknownType(type: unknown): TaskError {
  return new TaskError('TASKS_UNDECODABLE', `an inbox message has the unknown type ${JSON.stringify(type)}`)
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
      .map(([id, run, path, attempt, , , , , passed]) => {
        // The one that was sent.
        const [first = path, firstAttempt = attempt] = passed?.[0] ?? []
        return { id, run, path: first, attempt: firstAttempt }
      })
  } catch {
    return []
  }
}
