// What an owner keeps. Each kind of row is one interface, one key and one encoding; nothing else is ever stored in a partition.
//
//   M/<id>                          the pipeline: status, run, root chain, counters, outcome          PipelineRow
//   P<id>/<gen>:c<chain>            a chain other than the root, unless in its default state          ChainRow
//   P<id>/<gen>:d<frame>#<page>     pages of a frame's definition, written once                       DefinitionPage
//   P<id>/<gen>:g<entry>            a group: size, cursor, counters, input                            GroupRow
//   P<id>/<gen>:b<entry>#<chunk>    which of 1,024 chains have ended, and which have a row            ChunkRow
//   P<id>/<gen>:r<entry>#<chunk>.<n> results of that chunk that came in one commit; never read until fan-in
//   P<id>/<gen>:h<entry>            an entry that became due while the pipeline was paused            MarkRow
//   P<id>/<gen>:f<chain>            a chain, other than the root, whose frame has a finally           MarkRow
//   T/<due>/<id>/<gen><what>        a timer                                                           TimerRow
//   W/<seq>                         a dispatch window: what one commit sent out                       WindowRow
//   X/<id>/<gen><job>               long work that goes in steps: pump, fan-in, clean, …              JobRow
//
// `gen` counts the runs of an id: rows of an old run never meet those of a new one.
import { parseDefinition, parsePage, type Chain, type Definition } from '../definition'
import { TaskError } from '../errors'
import { escapeId } from '../ids'
import { decodeRecord, encodeRecord, type Payload } from '../record'
import type { Bytes, RowKey } from '../transport'
import { NONE, type Kind, type Value } from '../value'
import type { State } from '../state'
import type { Status } from '../wire'

// ---- Pipelines -----------------------------------------------------------------------------------------------------

export interface PipelineRow {
  id: string
  run: string
  /** Runs that were restarted, the latest few: their submits may come again. */
  earlier: readonly string[] | undefined
  gen: number
  status: Exclude<Status, 'PENDING'>
  /** Of the submitted definition: the same id with another hash is a conflict. */
  hash: string
  createdAt: number
  finishedAt: number
  retentionMs: number
  meta: Readonly<Record<string, unknown>> | undefined
  replyTo: string | undefined
  /** A promoted lone task. */
  lone: boolean
  /** Task entries known so far, those that ended well, and starts known of. */
  tasks: number
  done: number
  attempts: number
  /** Entries that are with workers: dispatched, and not heard of since. */
  out: number
  /** Chains besides the root that have a finally still to end. */
  finals: number
  /** Something that failed has left rows behind: they go when the run ends, unless it can be retried. */
  litter: boolean
  /** Ids of the latest commands, so that a repeated one does nothing. */
  commands: readonly string[] | undefined
  /** What running tasks have said of themselves, by path; the latest few. */
  notes: Readonly<Record<string, Note>> | undefined
  /** The root chain, while running. */
  chain: ChainRow | undefined
  /** The result or failure, once ended. */
  outcome: Value
}

export type Note = readonly [fraction: number, text: string]

export const isOver = (status: Status): boolean =>
  status === 'COMPLETED' || status === 'FAILED' || status === 'CANCELLED'

/**
 * `sent`: dispatched. `waiting`: a timer will go on with it. `group`, `frame`: what runs is below it. `held`: due, and the pipeline is paused (or
 * being cancelled). `failed`: kept in case the pipeline is retried.
 */
export type Phase = 'sent' | 'waiting' | 'group' | 'frame' | 'held' | 'failed'

export interface ChainRow {
  /** Tail calls so far: part of the path of what runs now. */
  hop: number
  /** The entry that runs now. */
  at: number
  phase: Phase
  attempt: number
  resends: number
  /** Its upstream value. */
  input: Value
  /** If this chain is a frame: where its definition is. */
  definition: DefinitionSource | undefined
  /** What it has changed of the pipeline's state since it began. */
  state: State
  /** While its finally runs: how it ended, and where. */
  saved: { readonly value: Value; readonly at: number; readonly phase: Phase } | undefined
}

export interface DefinitionSource {
  readonly pages: number
  /** The blob that holds them; rows `d` if absent. */
  readonly blob?: string
  /** It shares the state of its caller. */
  readonly inline?: 1
}

/** The state of a chain of a group that has no row: at its first entry, sent once. */
export function firstStep(input: Value): ChainRow {
  return {
    hop: 0,
    at: 0,
    phase: 'sent',
    attempt: 1,
    resends: 0,
    input,
    definition: undefined,
    state: undefined,
    saved: undefined,
  }
}

// ---- Groups --------------------------------------------------------------------------------------------------------

export interface GroupRow {
  size: number
  /** Chains below this index have been started. */
  next: number
  ended: number
  failed: number
  returnExceptions: boolean
  /** The most chains in flight; 0 if all may be. A chain holds its place until it has ended, with everything below it. */
  most: number
  /** Results in the order in which chains ended. */
  unordered: boolean
  /** The pipeline is retried, and not all chains that failed have been found yet: however many have ended, it is not complete. */
  reopening: boolean
  input: Value
  /** The pipeline's state when the group began. */
  state: State
}

export const CHUNK = 1024

export interface ChunkRow {
  /** Bit i: chain i of the chunk has ended. */
  ended: Uint8Array
  /** Bit i: chain i has a row of its own. */
  live: Uint8Array
}

export const newChunk = (): ChunkRow => ({ ended: new Uint8Array(CHUNK / 8), live: new Uint8Array(CHUNK / 8) })

export const hasBit = (bits: Uint8Array, index: number): boolean => (bits[index >> 3]! & (1 << (index & 7))) !== 0
export const setBit = (bits: Uint8Array, index: number): void => void (bits[index >> 3]! |= 1 << (index & 7))
export const clearBit = (bits: Uint8Array, index: number): void => void (bits[index >> 3]! &= ~(1 << (index & 7)))

// ---- Timers, windows, jobs -----------------------------------------------------------------------------------------

export type TimerRow =
  /** Dispatch this attempt of this entry. */
  | {
      readonly kind: 'dispatch'
      readonly id: string
      readonly run: string
      readonly path: string
      readonly attempt: number
    }
  /** The retention of this run has ended. */
  | { readonly kind: 'expire'; readonly id: string; readonly run: string }
  /** A cancelled run waits no longer for what is with workers. */
  | { readonly kind: 'grace'; readonly id: string; readonly run: string }

export type Lane = 'local' | 'queue'

/** Entries that one commit dispatched: one entry, or the first entries of neighbouring chains of a group (`[from, to)`). */
export type WindowItem =
  | { readonly lane: Lane; readonly id: string; readonly run: string; readonly path: string; readonly attempt: number }
  | {
      readonly lane: Lane
      readonly id: string
      readonly run: string
      readonly group: string
      readonly from: number
      readonly to: number
    }

export interface WindowRow {
  readonly seq: number
  readonly epoch: number
  readonly sentAt: number
  /** The queues that its items of lane `queue` are in. */
  readonly queues: readonly string[]
  readonly items: readonly WindowItem[]
}

/** Says that there is something at its path. */
export interface MarkRow {
  readonly path: string
}

interface JobOf<Kind extends string> {
  readonly kind: Kind
  readonly id: string
  readonly run: string
  readonly gen: number
  readonly path: string
}

export type JobRow =
  /** Chains of this group are still to be started. */
  | JobOf<'pump'>
  /** Every chain of this group has ended: join the results. */
  | JobOf<'fan-in'>
  /** What became due while the pipeline was paused goes on. */
  | JobOf<'resume'>
  /** The pipeline was cancelled: run what finallys are open. */
  | JobOf<'finals'>
  /** The pipeline is retried: start again what failed of this group. */
  | JobOf<'reopen'>
  /** Delete what a run has left: its rows, its blobs, and (`whole`) the pipeline itself; with a path, the results of that group only. */
  | {
      readonly kind: 'clean'
      readonly id: string
      readonly run: string
      readonly gen: number
      readonly path: string
      readonly whole: boolean
      readonly blobs: boolean
    }

// ---- Keys ----------------------------------------------------------------------------------------------------------

const digits = (number: number, length: number): string => number.toString(36).padStart(length, '0')

/** The latest time that a timer can have, in the year 5188: what is due later is due then. */
export const LATEST_MS = 36 ** 9 - 1

/** Keys of what belongs to one run of one pipeline. Built once per message: the escaped id is the costly part. */
export class RunKeys {
  readonly pipeline: RowKey
  readonly #prefix: string
  readonly #suffix: string

  constructor(id: string, gen: number) {
    const escaped = escapeId(id)
    this.pipeline = `M/${escaped}`
    this.#prefix = `P${escaped}/${gen}:`
    this.#suffix = `${escaped}/${gen}`
  }

  /** Prefix of every row of the run but the pipeline's own. */
  get all(): string {
    return this.#prefix
  }

  chain = (base: string): RowKey => `${this.#prefix}c${base}`
  page = (frame: string, page: number): RowKey => `${this.#prefix}d${frame}#${page}`
  group = (entry: string): RowKey => `${this.#prefix}g${entry}`
  chunk = (entry: string, index: number): RowKey => `${this.#prefix}b${entry}#${(index / CHUNK) | 0}`
  /** Sorted by chunk, so that a scan meets the results of a chunk together. */
  results = (entry: string, index: number, seq: number): RowKey =>
    `${this.#prefix}r${entry}#${digits((index / CHUNK) | 0, 5)}.${digits(seq, 1)}`
  /** Sorted by commit. */
  unorderedResults = (entry: string, seq: number): RowKey => `${this.#prefix}r${entry}#00000.${digits(seq, 9)}`
  resultsPrefix = (entry: string): string => `${this.#prefix}r${entry}#`
  held = (entry: string): RowKey => `${this.#prefix}h${entry}`
  final = (base: string): RowKey => `${this.#prefix}f${base}`
  heldPrefix = (): string => `${this.#prefix}h`
  finalsPrefix = (): string => `${this.#prefix}f`
  /** A key has whole milliseconds: a fraction would be longer, and sort behind everything. */
  timer = (due: number, what: string): RowKey =>
    `T/${digits(Math.min(Math.max(0, Math.ceil(due)), LATEST_MS), 9)}/${this.#suffix}${what}`
  job = (kind: JobRow['kind'], path: string): RowKey => `X/${this.#suffix}${kind}${path}`
}

/** The rows that a `clean` job deletes. */
export function cleanedBy({ id, gen, path }: Pick<JobRow, 'id' | 'gen' | 'path'>): string {
  const keys = new RunKeys(id, gen)
  return path === '' ? keys.all : keys.resultsPrefix(path)
}

export const pipelineKey = (id: string): RowKey => `M/${escapeId(id)}`
export const PIPELINES = 'M/'
export const TIMERS = 'T/'
export const WINDOWS = 'W/'
export const JOBS = 'X/'
export const windowKey = (seq: number): RowKey => `${WINDOWS}${digits(seq, 9)}`
export const dueOf = (timerKey: RowKey): number => Number.parseInt(timerKey.slice(2, 11), 36)
export const chunkOfResults = (key: RowKey): number =>
  Number.parseInt(key.slice(key.lastIndexOf('#') + 1, key.lastIndexOf('.')), 36)

/** The run that a retried run goes on with: its values are still where that one put them. */
export const firstRun = (run: string): string => {
  const plus = run.indexOf('+')
  return plus < 0 ? run : run.slice(0, plus)
}

/** The run that retries another. */
export function nextRun(run: string): string {
  const first = firstRun(run)
  return `${first}+${run === first ? 1 : Number(run.slice(first.length + 1)) + 1}`
}

/** Blobs of a run: every value too large for a message, until the run's retention ends. */
export const blobPrefix = (id: string, run: string): string => `${escapeId(id)}/${firstRun(run)}/`

/** Pages that live in a blob are read through the same cache as rows, under this pseudo key. */
export const blobPageKey = (blob: string, page: number): RowKey => `@${blob}#${page}`

// ---- Encoding ------------------------------------------------------------------------------------------------------

const ROW_VERSION = 1

/** A page of a definition: parsed once, when first needed. */
export class DefinitionPage {
  readonly bytes: Bytes
  #definition: Definition | undefined
  #chains: readonly Chain[] | undefined

  constructor(bytes: Bytes) {
    this.bytes = bytes
  }

  /** As page 0. */
  definition(): Definition {
    return (this.#definition ??= parseDefinition(this.bytes))
  }

  /** As a further page. */
  chains(definition: Definition, number: number): readonly Chain[] {
    return (this.#chains ??= parsePage(this.bytes, definition, number))
  }
}

export type Row =
  | PipelineRow
  | ChainRow
  | DefinitionPage
  | GroupRow
  | ChunkRow
  | MarkRow
  | TimerRow
  | WindowRow
  | JobRow

/** The kind letter of a key. */
function kindOf(key: RowKey): string {
  const entity = key[0]!
  if (entity === '@') return 'd'
  if (entity !== 'P') return entity
  let at = key.indexOf('/') + 1
  while (key.charCodeAt(at) >= 48 && key.charCodeAt(at) <= 57) at++
  return key[at + 1] ?? ''
}

const PHASES: readonly Phase[] = ['sent', 'waiting', 'group', 'frame', 'held', 'failed']
const STATUSES = ['RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'PAUSED', 'CANCELLING'] as const

/** What few chains have. */
type Rare = [stateLength: number, savedKind: Kind, savedLength: number, savedAt: number, savedPhase: number]

type ChainHeader = [
  hop: number,
  at: number,
  phase: number,
  attempt: number,
  resends: number,
  kind: Kind,
  length: number,
  definition: DefinitionSource | 0,
  rare?: Rare,
]

function chainHeader(row: ChainRow): ChainHeader {
  const { hop, at, phase, attempt, resends, input, definition, state, saved } = row
  const header: ChainHeader = [
    hop,
    at,
    PHASES.indexOf(phase),
    attempt,
    resends,
    input.kind,
    input.bytes.length,
    definition ?? 0,
  ]
  if (state !== undefined || saved !== undefined) {
    const { value, at: savedAt, phase: savedPhase } = saved ?? { value: NONE, at: -1, phase: 'sent' }
    header.push([state?.length ?? 0, value.kind, value.bytes.length, savedAt, PHASES.indexOf(savedPhase)])
  }
  return header
}

function chainParts({ input, state, saved }: ChainRow): Bytes[] {
  const parts = [input.bytes]
  if (state !== undefined) parts.push(state)
  if (saved !== undefined) parts.push(saved.value.bytes)
  return parts
}

function chainOf(header: ChainHeader, payload: Payload): ChainRow {
  const [hop, at, phase, attempt, resends, kind, length, definition, rare] = header
  const input = valueOf(kind, length, payload)
  const [stateLength, savedKind, savedLength, savedAt, savedPhase] = rare ?? [0, 0, 0, -1, 0]
  const state = stateLength === 0 ? undefined : payload.take(stateLength)
  const saved =
    savedAt < 0
      ? undefined
      : { value: valueOf(savedKind, savedLength, payload), at: savedAt, phase: PHASES[savedPhase]! }
  return {
    hop,
    at,
    phase: PHASES[phase]!,
    attempt,
    resends,
    input,
    definition: definition === 0 ? undefined : definition,
    state,
    saved,
  }
}

const valueOf = (kind: Kind, length: number, payload: Payload): Value =>
  kind === 0 ? NONE : { kind, bytes: payload.take(length) }

export function encodeRow(key: RowKey, row: Row): Bytes {
  switch (kindOf(key)) {
    case 'M': {
      const r = row as PipelineRow
      return encodeRecord(
        [
          ROW_VERSION,
          r.id,
          r.run,
          r.gen,
          STATUSES.indexOf(r.status),
          r.hash,
          r.createdAt,
          r.finishedAt,
          r.retentionMs,
          r.meta ?? 0,
          r.replyTo ?? 0,
          r.lone ? 1 : 0,
          r.tasks,
          r.done,
          r.attempts,
          r.out,
          r.finals,
          r.litter ? 1 : 0,
          r.commands ?? 0,
          r.notes ?? 0,
          r.outcome.kind,
          r.outcome.bytes.length,
          r.chain === undefined ? 0 : chainHeader(r.chain),
          ...(r.earlier === undefined ? [] : [r.earlier]),
        ],
        r.chain === undefined ? [r.outcome.bytes] : [r.outcome.bytes, ...chainParts(r.chain)],
      )
    }
    case 'c': {
      const r = row as ChainRow
      return encodeRecord([ROW_VERSION, ...chainHeader(r)], chainParts(r))
    }
    case 'd':
      return (row as DefinitionPage).bytes
    case 'g': {
      const r = row as GroupRow
      return encodeRecord(
        [
          ROW_VERSION,
          r.size,
          r.next,
          r.ended,
          r.failed,
          r.returnExceptions ? 1 : 0,
          r.most,
          (r.unordered ? 1 : 0) + (r.reopening ? 2 : 0),
          r.input.kind,
          r.input.bytes.length,
          r.state?.length ?? 0,
        ],
        r.state === undefined ? [r.input.bytes] : [r.input.bytes, r.state],
      )
    }
    case 'b': {
      const r = row as ChunkRow
      return Buffer.concat([r.ended, r.live])
    }
    case 'h':
    case 'f':
    case 'T':
    case 'W':
    case 'X':
      return encodeRecord([ROW_VERSION, row])
    default:
      throw new TaskError('TASKS_UNDECODABLE', `no row has the key ${JSON.stringify(key)}`)
  }
}

export function decodeRow(key: RowKey, bytes: Bytes): Row {
  const letter = kindOf(key)
  if (letter === 'd') return new DefinitionPage(bytes)
  if (letter === 'b')
    return { ended: Uint8Array.from(bytes.subarray(0, CHUNK / 8)), live: Uint8Array.from(bytes.subarray(CHUNK / 8)) }
  const { header, payload } = decodeRecord(bytes)
  if (header[0] !== ROW_VERSION) {
    throw new TaskError(
      'TASKS_STORE_NEWER',
      `the row ${JSON.stringify(key)} has version ${JSON.stringify(header[0])}; this version reads ${ROW_VERSION}`,
    )
  }
  switch (letter) {
    case 'M': {
      const [
        ,
        id,
        run,
        gen,
        status,
        hash,
        createdAt,
        finishedAt,
        retentionMs,
        meta,
        replyTo,
        lone,
        tasks,
        done,
        attempts,
        out,
        finals,
        litter,
        commands,
        notes,
        kind,
        length,
        chain,
        earlier,
      ] = header as [
        number,
        string,
        string,
        number,
        number,
        string,
        number,
        number,
        number,
        Record<string, unknown> | 0,
        string | 0,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        readonly string[] | 0,
        Readonly<Record<string, Note>> | 0,
        Kind,
        number,
        ChainHeader | 0,
        (readonly string[])?,
      ]
      const outcome = valueOf(kind, length, payload)
      return {
        id,
        run,
        earlier,
        gen,
        status: STATUSES[status]!,
        hash,
        createdAt,
        finishedAt,
        retentionMs,
        meta: meta === 0 ? undefined : meta,
        replyTo: replyTo === 0 ? undefined : replyTo,
        lone: lone === 1,
        tasks,
        done,
        attempts,
        out,
        finals,
        litter: litter === 1,
        commands: commands === 0 ? undefined : commands,
        outcome,
        notes: notes === 0 ? undefined : notes,
        chain: chain === 0 ? undefined : chainOf(chain, payload),
      }
    }
    case 'c':
      return chainOf(header.slice(1) as unknown as ChainHeader, payload)
    case 'g': {
      const [, size, next, ended, failed, returnExceptions, most, flags, kind, length, stateLength] = header as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        Kind,
        number,
        number,
      ]
      return {
        size,
        next,
        ended,
        failed,
        returnExceptions: returnExceptions === 1,
        most,
        unordered: (flags & 1) !== 0,
        reopening: (flags & 2) !== 0,
        input: valueOf(kind, length, payload),
        state: stateLength === 0 ? undefined : payload.take(stateLength),
      }
    }
    default:
      return header[1] as MarkRow | TimerRow | WindowRow | JobRow
  }
}
