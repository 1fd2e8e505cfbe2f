// What a record of a queue's log says: tasks that are sent, and what consumers say of theirs.
//
//   1  format   4  length of what consumers say   that, as JSON   4  length of the runs of the tasks   those, as JSON   tasks, as frames
import type { Framed } from './frame'
import { decodeFrames, encodeFrames, frameBytes, headEnd } from './frame'

/** Give me tasks: at once, or as soon as there are any. */
export interface Want {
  /** Replaces the want of this name, if it still waits. */
  readonly name: string
  readonly queues: readonly string[]
  readonly max: number
  readonly suspects: boolean
  readonly leaseMs: number
  /** By the broker's clock, as far as its sayer knows: a lease later it is void. */
  readonly saidAt: number
  /** How long it waits, from the time of this record; 0: it is answered by this record or not at all. */
  readonly waitMs: number
}

/** Tasks of one record that were handed out together. */
export interface Members {
  readonly grant: string
  readonly offset: number
  readonly indexes: readonly number[]
}

export type Saying =
  | { readonly op: 'want'; readonly want: Want }
  | { readonly op: 'unwant'; readonly names: readonly string[] }
  /** Whose names begin like this are dead: they want nothing any more, and what they hold has run out. */
  | { readonly op: 'gone'; readonly prefix: string }
  | { readonly op: 'done'; readonly members: readonly Members[] }
  | { readonly op: 'back'; readonly members: readonly Members[]; readonly delayMs: number }
  /** What all records up to an offset have led to: for those who begin to read when they are gone. */
  | { readonly op: 'picture'; readonly upTo: number; readonly picture: Picture }
  | { readonly op: 'keep'; readonly members: readonly Members[]; readonly leaseMs: number }

export interface Waiting {
  readonly want: Want
  readonly until: number
}

/** Of a task that was handed out before. */
export type Phase = 'held' | 'ready' | 'later'

export type FreshPicture = readonly [priority: number, offset: number, from: number, to: number, at: number]
export type KnownPicture = readonly [
  offset: number,
  index: number,
  at: number,
  priority: number,
  deliveries: number,
  isCounted: boolean,
  grant: string,
  until: number,
  graceMs: number,
  phase: Phase,
]

/** A state as plain data. */
export interface Picture {
  readonly time: number
  readonly wants: readonly Waiting[]
  readonly queues: readonly {
    readonly name: string
    readonly fresh: readonly FreshPicture[]
    /** Those that may be handed out, in their order; then the others. */
    readonly known: readonly KnownPicture[]
  }[]
}

/** How many tasks one behind the other are of one queue and priority. */
export type RunOfTasks = readonly [queue: string, priority: number, count: number]

/** What everybody wants to know of a record: its tasks are for those who are given them. */
export interface QueueRecord {
  readonly sayings: readonly Saying[]
  readonly runs: readonly RunOfTasks[]
}

/** 1 had no runs. */
const FORMAT = 2
/** Of one run, beside its queue's name: JSON makes six bytes of one at worst. */
const RUN_BYTES = 16

export function encodeQueueRecord(sayings: readonly Saying[], tasks: readonly Framed[]): Buffer {
  const said = encodeJson(sayings)
  const runs = encodeJson(runsOf(tasks))
  const head = Buffer.allocUnsafe(1 + 4 + said.length + 4 + runs.length)
  head[0] = FORMAT
  head.writeUInt32BE(said.length, 1)
  said.copy(head, 5)
  head.writeUInt32BE(runs.length, 5 + said.length)
  runs.copy(head, 9 + said.length)
  return encodeFrames(tasks, head)
}

/** What a task adds to a record, at most. */
export function taskBytes(task: Framed): number {
  return frameBytes(task) + RUN_BYTES + 6 * Buffer.byteLength(task.queue)
}

export function decodeQueueRecord(record: Buffer): QueueRecord {
  const { sayingsAt, runsAt, tasksAt } = partsOf(record)
  return {
    sayings: decodeJson<readonly Saying[]>(record, sayingsAt, runsAt - 4),
    runs: decodeJson<readonly RunOfTasks[]>(record, runsAt, tasksAt),
  }
}

export function decodeTasks(record: Buffer): readonly Framed[] {
  return decodeFrames(record, partsOf(record).tasksAt)
}

function partsOf(record: Buffer): { readonly sayingsAt: number; readonly runsAt: number; readonly tasksAt: number } {
  const sayingsAt = headEnd(record, FORMAT) + 4
  const runsAt = sayingsAt + record.readUInt32BE(sayingsAt - 4) + 4
  return { sayingsAt, runsAt, tasksAt: runsAt + record.readUInt32BE(runsAt - 4) }
}

function runsOf(tasks: readonly Framed[]): RunOfTasks[] {
  const runs: [string, number, number][] = []
  let last: [string, number, number] | undefined
  for (const { queue, priority } of tasks) {
    if (last !== undefined && last[0] === queue && last[1] === priority) last[2]++
    else runs.push((last = [queue, priority, 1]))
  }
  return runs
}

function encodeJson(list: readonly unknown[]): Buffer {
  return list.length === 0 ? Buffer.alloc(0) : Buffer.from(JSON.stringify(list))
}

function decodeJson<T extends readonly unknown[]>(record: Buffer, from: number, to: number): T {
  return (from === to ? [] : JSON.parse(record.toString('utf8', from, to))) as T
}
