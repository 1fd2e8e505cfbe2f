// What an owner keeps. Each kind of row is one interface here, one key (row-keys.ts) and one encoding (row-codec.ts); nothing else is ever stored
// in a partition.
//
//   N/live                          how many pipelines and timers of the partition go on; none, no row TallyRow
//   M/<id>                          the pipeline: status, run, root chain, counters, outcome          PipelineRow
//   P<id>/<gen>:c<chain>            a chain other than the root, unless in its default state          ChainRow
//   P<id>/<gen>:d<frame>#<page>     pages of a frame's definition, written once                       DefinitionPage
//   P<id>/<gen>:g<entry>            a group: size, cursor, counters, input                            GroupRow
//   P<id>/<gen>:b<entry>#<chunk>    which of 1,024 chains have ended, and which have a row            ChunkRow
//   P<id>/<gen>:r<entry>#<chunk>.<n> results of that chunk that came in one commit; never read until fan-in
//   P<id>/<gen>:h<entry>            an entry that became due while the pipeline was paused            MarkRow
//   P<id>/<gen>:f<chain>            a chain, other than the root, whose frame has a finally           MarkRow
//   P<id>/<gen>:w<entry>             an entry that waits for an event                                  WaitMark
//   B<address>/m                    where events of this address meet those who wait for them         BoxRow
//   B<address>/w<id>/<run><entry>   an entry that waits there, or the trace of one                    Waiter
//   B<address>/k<number>            an event that nobody has taken yet                                KeptEvent
//   B<address>/i<event id>          an event that came, remembered                                    SeenEvent
//   T/<due>/<id>/<gen><what>        a timer                                                           TimerRow
//   W/<n>                           a dispatch window: what one commit sent out                       WindowRow
//   X/<id>/<gen><job>               long work that goes in steps: pump, fan-in, clean, …              JobRow
//
// `gen` is another for each run of an id, and grows: rows of an old run never meet those of a new one.
import { parseDefinition, parsePage } from '../definition-parser'
import type { Chain, Definition, Scalar } from '../definition'
import type { State } from '../state'
import type { Bytes } from '../transport'
import type { Value } from '../value'
import type { Status } from '../wire/reply'

// ---- Pipelines -----------------------------------------------------------------------------------------------------

export interface PipelineRow {
  id: string
  run: string
  /** Of its first task: what it is listed under. */
  name: string
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
  /** Entries that wait for an event. */
  waits: number
  /** Events that it has taken, the latest few, so that an offer that comes again is answered as before. */
  taken: readonly string[] | undefined
  /** Chains besides the root that have a finally still to end. */
  finals: number
  /** Something that failed has left rows behind: they go when the run ends, unless it can be retried. */
  litter: boolean
  /** While it is being cancelled: what is with workers is not waited for any more, finallys run. */
  finishing: boolean
  /** Its retention has ended, or it was deleted: it is being taken away. */
  leaving: boolean
  /** The latest commands, so that a repeated one does nothing, and is told what it was told before. */
  commands: readonly CommandNote[] | undefined
  /** How many events the run has given out. */
  events: number
  /** What running tasks have said of themselves, by path; the latest few. */
  notes: Readonly<Record<string, Note>> | undefined
  /** The root chain, while running. */
  chain: ChainRow | undefined
  /** The result or failure, once ended. */
  outcome: Value
  /** What is kept of its entries, once ended otherwise than by a failure. */
  tree: KeptTree | undefined
}

/** The id of a command; of one that was refused, with the status that was in its way; of a retry, with the run that it began. */
export type CommandNote =
  | string
  | readonly [id: string, refused: Status]
  | readonly [id: string, refused: null, run: string]

export type Note = readonly [fraction: number, text: string]

export const isOver = (status: Status): boolean =>
  status === 'COMPLETED' || status === 'FAILED' || status === 'CANCELLED'

/**
 * `event`: it waits for one. `sent`: dispatched. `waiting`: a timer will go on with it. `group`, `frame`: what runs is below it. `held`: due, and the pipeline is paused (or
 * being cancelled). `failed`: kept in case the pipeline is retried.
 */
export type Phase = 'sent' | 'waiting' | 'group' | 'frame' | 'held' | 'failed' | 'event'

export interface ChainRow {
  /** Tail calls so far: part of the path of what runs now. */
  hop: number
  /** The entry that runs now. */
  at: number
  phase: Phase
  /** 0: the entry has not begun, because its run is to start later. */
  attempt: number
  resends: number
  /** Since when the entry is in this phase, in ms after the pipeline was created; negative: not known. */
  since: number
  /** Its upstream value. */
  input: Value
  /** If this chain is a frame: where its definition is. */
  definition: DefinitionSource | undefined
  /** What it has changed of the pipeline's state since it began. */
  state: State
  /** While its finally runs: how it ended, and where. */
  saved: { readonly value: Value; readonly at: number; readonly phase: Phase } | undefined
  /** Entries that have failed, each with the handler that took its error. */
  caught: readonly Caught[] | undefined
  /** What it remembers of those that are over: see trail.ts. */
  trail: string | undefined
}

export type Caught = readonly [failed: number, handler: number]

/** Of a run that ended well or was cancelled: its entries, and what its chain remembers of them. */
export interface KeptTree {
  readonly hops: number
  /** The entry at hand when it was cancelled; one behind the last if it ended. */
  readonly at: number
  readonly trail: string | undefined
  readonly caught: readonly Caught[]
  /** The first ones. */
  readonly entries: readonly KeptEntry[]
  /** How many there were. */
  readonly count: number
  readonly finally: string | undefined
}

/** `u`: a sleep until a time. `fact`: its ms, or that time; the size of a group of which no chain has failed. */
export type KeptEntry = readonly [kind: 't' | 'h' | 'g' | 'e' | 'v' | 's' | 'u' | 'w', name: string, fact?: number]

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
    since: -1,
    input,
    definition: undefined,
    state: undefined,
    saved: undefined,
    caught: undefined,
    trail: undefined,
  }
}

/** The same chain at another entry, which takes this value. */
export function atEntry(
  { hop, since, definition, state, saved, caught }: ChainRow,
  at: number,
  input: Value,
  trail: string | undefined,
): ChainRow {
  return { hop, at, phase: 'sent', attempt: 1, resends: 0, since, input, definition, state, saved, caught, trail }
}

/** How many there are: of pipelines that go on, and of timers of their entries. Written with each commit in which some begin or end. */
export interface TallyRow {
  readonly live: number
  readonly timers: number
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
  /** This entry waits for an event no longer. */
  | { readonly kind: 'event'; readonly id: string; readonly run: string; readonly path: string }
  /** Of a box (`id` is its address): what this row remembers is forgotten. */
  | { readonly kind: 'forget'; readonly id: string; readonly run: string; readonly path: string }
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
  /** Of a box: whoever waits there is looked at for this event; `round` is that of the event. */
  | (JobOf<'wake'> & { readonly round: number })
  /** Of a box: the events that are kept there are looked at for this waiter. */
  | JobOf<'seek'>
  /** The pipeline is retried: start again what failed of this group in commits before this one. */
  | (JobOf<'reopen'> & { readonly before: number })
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

// ---- Waiting for events --------------------------------------------------------------------------------------------

export interface WaitMark {
  readonly id: string
  readonly run: string
  readonly path: string
  readonly address: string
  readonly key: string
  /** 0: it waits for ever. */
  readonly dueAt: number
  readonly timeoutMs: number
}

export interface BoxRow {
  /** Numbers events and waiters in the order in which they came. */
  next: number
  lastWait: number
  /** Waiters that nothing is offered to, those that something is, events that are kept, events that are remembered, traces of waiters. */
  waiting: number
  offered: number
  kept: number
  seen: number
  traces: number
}

export interface Waiter {
  readonly id: string
  readonly run: string
  readonly path: string
  readonly number: number
  readonly match: Readonly<Record<string, Scalar>> | undefined
  /** The number of the event that it was offered; 0: none. */
  offered: number
  /** A trace of what is done with. */
  readonly gone: boolean
}

export interface KeptEvent {
  readonly number: number
  readonly eventId: string
  readonly value: Value
  /** What it shows of its value. */
  readonly fields: Readonly<Record<string, Scalar>> | undefined
  /** It is for one of those who wait: the first that is found. */
  readonly forOne?: true | undefined
  /** A job looks for those who take it: all who waited when it came, or one. */
  search: 'none' | 'all' | 'one'
  /** The commit in which that job began: pages of an earlier one are of no account, for it has passed by some who wait now. */
  round: number
  /** Waiters that have been asked, and have not answered. */
  out: number
  /** Somebody has taken it, or its time is over. */
  taken: boolean
  /** Nobody has taken it: there for the next waiter. */
  kept: boolean
}

export interface SeenEvent {
  readonly number: number
}

// ---- Definitions ---------------------------------------------------------------------------------------------------

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
  | TallyRow
  | PipelineRow
  | ChainRow
  | DefinitionPage
  | GroupRow
  | ChunkRow
  | MarkRow
  | WaitMark
  | BoxRow
  | Waiter
  | KeptEvent
  | SeenEvent
  | TimerRow
  | WindowRow
  | JobRow
