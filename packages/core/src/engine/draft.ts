// The working set of one commit. The reducer reads committed rows through it and writes changes into it; nothing outside changes
// until the commit has succeeded, so a draft that met a missing row or a poison message is simply thrown away and folded again.
import type { ArgsData, Step } from '../definition'
import type { State } from '../state'
import type { Bytes, RowKey, Target } from '../transport'
import { FrameWriter, Kind, type Value } from '../value'
import { encodeReply, type ReplyBody, type Status } from '../wire/reply'
import { encodeInbox, type Look, type TalkMessage } from '../wire/inbox-message'
import type { Following } from '../wire/task-message'
import { partitionOfAddress } from './event-address'
import type { PipelineEvents, PipelineEventType, SentEventData } from '../events/pipeline-event'
import type { GroupView } from './groups'
import { pipelineKey, RunKeys, TALLY } from './row-keys'
import type { JobRow, PipelineRow, Row, TallyRow, TimerRow } from './rows'

/** Committed rows as far as they are known: null is known to be absent, undefined is not loaded. */
export interface KnownRows {
  get(key: RowKey): Row | null | undefined
}

/** A partition, and how many there are. */
export interface Home {
  readonly partition: number
  readonly partitions: number
}

/** Thrown by `get` for a row that is not loaded. The owner loads it and folds the batch again. */
export class MissingRow extends Error {
  readonly keys: readonly RowKey[]

  constructor(keys: readonly RowKey[]) {
    super(keys[0])
    this.keys = keys
  }
}

/**
 * Calls `fn` for each item, and goes on after a missing row: so that one look finds what all of them miss, not one look each. What the draft holds
 * after a miss is of no use.
 */
export function forEachRow<T>(items: Iterable<T>, fn: (item: T) => void): void {
  const missing: RowKey[] = []
  for (const item of items) {
    try {
      fn(item)
    } catch (error) {
      if (error instanceof MissingRow) for (const key of error.keys) missing.push(key)
      else if (missing.length === 0) throw error
    }
  }
  if (missing.length > 0) throw new MissingRow(missing)
}

/** A pipeline event that leaves with the commit. */
export type Emitted = {
  [Type in PipelineEventType]: {
    readonly type: Type
    readonly id: string
    readonly run: string
    readonly gen: number
    readonly sequence: number
    readonly meta: PipelineRow['meta']
    /** The returned pipeline that it is about, as a path. */
    readonly frame: string
    /** The task that it is about; '' if it is about a pipeline. */
    readonly path: string
    readonly data: PipelineEvents[Type]
  }
}[PipelineEventType]

/** A task that is due. The owner decides which lane it takes. */
export interface Dispatch {
  readonly id: string
  readonly run: string
  readonly path: string
  readonly attempt: number
  readonly resends: number
  readonly step: Step
  readonly input: Value
  readonly args: ArgsData | undefined
  /** The pipeline's state. */
  readonly state: State
  readonly meta: Readonly<Record<string, unknown>> | undefined
  /** The first entry of chain `child` of this group, never sent before: a window names neighbours as a range. */
  readonly group: string | undefined
  readonly child: number
  /** Goes through the shared queue: it was lost once, or its process could not start it. */
  readonly shared: boolean
  /** A finally. */
  readonly final: boolean
  /** What runs with it. */
  readonly following: readonly Following[] | undefined
}

/** A task that waits for its time. */
export interface Scheduled extends Pick<Dispatch, 'id' | 'run' | 'path' | 'attempt' | 'step' | 'meta'> {
  readonly dueAt: number
}

/** An entry, as windows and workers name it. */
export interface EntryName {
  readonly id: string
  readonly run: string
  readonly path: string
  readonly attempt: number
}

/** An entry that is no longer outstanding: its window counts it off. */
export interface Closed extends EntryName {
  /** The first entry of chain `child` of this group, ended by its first send: its window may name it by a range. */
  readonly group: string | undefined
  readonly child: number
}

export interface Ended {
  readonly id: string
  readonly run: string
  readonly status: Status
  readonly value: Value
}

/** One pipeline in a draft: its keys, its row, already copied for writing, and the groups that were looked at. */
export interface RunView {
  readonly keys: RunKeys
  readonly row: PipelineRow
  readonly groups: Map<string, GroupView>
  /** What is sent now has run already: a pause does not hold it. */
  hasRun: boolean
}

/** A job, whichever run it is for. */
type Work = JobRow extends infer Job ? (Job extends JobRow ? Omit<Job, 'id' | 'run' | 'gen'> : never) : never

const NOTHING_LIVE: TallyRow = { live: 0, timers: 0 }

export class Draft {
  /** Rows that are taken to be absent, and were not looked at: the commit makes sure of it. */
  readonly assumed = new Set<RowKey>()
  /** What the commit will change. */
  readonly changed = new Map<RowKey, Row | null>()
  /** Results that arrived, per chunk of a group: rows that are written once and not read before fan-in. */
  readonly results = new Map<RowKey, FrameWriter>()
  readonly sends: { readonly target: Target; readonly body: Bytes }[] = []
  readonly dispatches: Dispatch[] = []
  /** What pipelines say of themselves, in the order in which it happened. */
  readonly events: Emitted[] = []
  /** For the events of workers; left empty unless somebody publishes those. */
  readonly scheduled: Scheduled[] = []
  /** Events that others have sent. */
  readonly sentEvents: { readonly eventId: string; readonly at: number; readonly data: SentEventData }[] = []
  readonly closed: Closed[] = []
  readonly ended: Ended[] = []
  /** Runs that workers are to hear the cancelling of. */
  readonly cancelled: { readonly id: string; readonly run: string }[] = []
  /** Who wants to hear of the end of a run that goes on. Held in memory: they ask again if they hear nothing. */
  readonly attached: { readonly id: string; readonly replyTo: string }[] = []
  /** Answers to commands. */
  readonly answers: { readonly replyTo: string; readonly correlation: string; readonly answer: unknown }[] = []
  /** Questions that are answered from what is committed. */
  readonly looks: { readonly replyTo: string; readonly correlation: string; readonly question: Look }[] = []
  /** What is said within this partition, and is still to be folded. */
  readonly told: TalkMessage[] = []
  readonly #known: KnownRows
  readonly #runs = new Map<string, RunView>()

  constructor(
    known: KnownRows,
    /** The commit's sequence number: names rows that are written once. */
    readonly seq: number,
    /** Ms since the epoch; never less than that of an earlier commit. */
    readonly now: number,
    /** What is to be said of it: see emit.ts. */
    readonly level = 0,
    /** Where its rows are. */
    readonly home: Home = { partition: 0, partitions: 1 },
    /** Whether it is to say which tasks wait for their time. */
    readonly notesScheduled = false,
    /** How many bytes of the entries of a run are kept when it has ended. */
    readonly treeBytes = 0,
  ) {
    this.#known = known
  }

  get<T extends Row>(key: RowKey): T | undefined {
    let row = this.changed.get(key)
    if (row === undefined) {
      row = this.#known.get(key)
      if (row === undefined && this.assumed.has(key)) row = null
      if (row === undefined) throw new MissingRow([key])
    }
    return (row ?? undefined) as T | undefined
  }

  /** A copy that this draft may change in place; the same one each time. */
  edit<T extends Row>(key: RowKey, copy: (row: T) => T): T | undefined {
    const changed = this.changed.get(key)
    if (changed !== undefined) return (changed ?? undefined) as T | undefined
    const row = this.get<T>(key)
    if (row === undefined) return undefined
    const mine = copy(row)
    this.changed.set(key, mine)
    return mine
  }

  /** What goes on in the partition. */
  get tally(): TallyRow {
    const { live, timers } = this.get<TallyRow>(TALLY) ?? NOTHING_LIVE
    return { live, timers: timers ?? 0 }
  }

  /** One has begun, or ended. */
  count(what: keyof TallyRow, by: 1 | -1): void {
    const { live, timers } = this.tally
    const counted =
      what === 'live' ? { live: Math.max(0, live + by), timers } : { live, timers: Math.max(0, timers + by) }
    const before = (this.#known.get(TALLY) as TallyRow | null | undefined) ?? NOTHING_LIVE
    if (counted.live === before.live && counted.timers === before.timers) this.changed.delete(TALLY)
    else if (counted.live + counted.timers > 0) this.put(TALLY, counted)
    else this.delete(TALLY)
  }

  /** A timer of an entry: of them there may be only so many. */
  putTimer(key: RowKey, row: TimerRow): void {
    this.put(key, row)
    this.count('timers', 1)
  }

  /** Such a timer is needed no longer. */
  dropTimer(key: RowKey): void {
    this.delete(key)
    this.count('timers', -1)
  }

  /** A timer has fired, whatever it was for. */
  fired(key: RowKey, { kind }: TimerRow): void {
    if (kind === 'dispatch' || kind === 'event') this.dropTimer(key)
    else this.delete(key)
  }

  put(key: RowKey, row: Row): void {
    this.changed.set(key, row)
  }

  delete(key: RowKey): void {
    this.changed.set(key, null)
  }

  /** The pipeline as it stands in this draft, if it exists. Reading it counts as changing it: use `get` to look only. */
  run(id: string): RunView | undefined {
    const known = this.#runs.get(id)
    if (known !== undefined) return known
    const key = pipelineKey(id)
    const row = this.edit<PipelineRow>(key, (committed) => ({ ...committed }))
    return row === undefined ? undefined : this.#remember(row)
  }

  /** The pipeline that a job is for, if it has that run still. */
  runOf(job: JobRow): RunView | undefined {
    const run = this.run(job.id)
    return run?.row.run === job.run ? run : undefined
  }

  /** Long work of a run begins: whoever owns the partition does it. */
  startJob({ keys, row: { id, run, gen } }: RunView, work: Work): void {
    this.put(keys.job(work.kind, work.path), { ...work, id, run, gen })
  }

  endJob({ id, gen, kind, path }: JobRow): void {
    this.delete(new RunKeys(id, gen).job(kind, path))
  }

  /** Puts a new run in place of whatever had the id. */
  create(row: PipelineRow): RunView {
    const view = this.#remember(row)
    this.changed.set(view.keys.pipeline, row)
    return view
  }

  #remember(row: PipelineRow): RunView {
    const view: RunView = { keys: new RunKeys(row.id, row.gen), row, groups: new Map(), hasRun: false }
    this.#runs.set(row.id, view)
    return view
  }

  /** The result of a chain of a group, and what it has set of the pipeline's state. */
  addResult(key: RowKey, index: number, value: Value, state: State): void {
    let writer = this.results.get(key)
    if (writer === undefined) this.results.set(key, (writer = new FrameWriter()))
    writer.addNumbered(index, value)
    if (state !== undefined) writer.addNumbered(index, { kind: Kind.state, bytes: state })
  }

  /** Results that stay as they were. */
  keepResults(key: RowKey, frames: Bytes): void {
    const writer = new FrameWriter(frames.length)
    writer.addRaw(frames, 0)
    this.results.set(key, writer)
  }

  /** Says something to what lives in this partition, which hears it in this very commit, or in another. */
  tell(partition: number, message: TalkMessage): void {
    if (partition === this.home.partition) this.told.push(message)
    else this.send({ to: 'inbox', partition }, encodeInbox(message))
  }

  tellBox(address: string, message: TalkMessage): void {
    this.tell(partitionOfAddress(address, this.home.partitions), message)
  }

  send(target: Target, body: Bytes): void {
    this.sends.push({ target, body })
  }

  reply(address: string, body: ReplyBody): void {
    this.send({ to: 'reply', address }, encodeReply(body))
  }
}
