// A pipeline on the wire: JSON, version 1.
//
//   document  { "v": 1, "steps": [step…], "chain": [entry…], "input": data?, "state": { key: data… }?, "inline": 1?, "finally": [step] | [step, data]? }
//                `input` is a list, which the first entry gets as if it came from upstream; `state` the values with which the pipeline's state
//                begins; `finally` a closed task; `inline` means something to the pipeline whose task returns this one
//   step      { "task": name, "open": 1?, "catch": 1?, "queue"?, "retry"?, "timeoutMs"?, "priority"?, "displayName"?, "taskId"?, "pauseAfter": 1?,
//                "checkpoint": 0? }: each distinct one once. `open` takes the upstream value first; with `catch` that is the error
//   entry     [step] | [step, data]: a task, and the array of the entry's own arguments
//             { "group": n, "chains": [[entry…]…], parallel… }: the chains side by side; a large group has, instead of "chains",
//                "pages": [[page, index of its first chain]…] or, of very many pages,
//                "index": [[page, index of its first chain]…], where each page is [[{ "group", "pages" or "index" }]]: a part of the group
//             { "each": [entry…], parallel… }: the chain once for each element of the upstream array, which is its upstream value
//             { "value": data }: gives this, whatever comes from upstream: what a chain of a fan-out begins with that does not begin with a task
//             { "sleep": ms, "pauseAfter": 1? } | { "sleepUntil": ms since the epoch, "pauseAfter": 1? }: pass their upstream value on
//             { "event": key, "pipeline": 1?, "match": { path: text, number, boolean or null }?, "timeoutMs": ms?, "pauseAfter": 1? }: waits for an event of
//                this key, of the namespace or sent to this pipeline, and takes its value for its result
//   parallel  "returnExceptions": 1?, "maxParallelism": m?, "unordered": 1?, "pauseAfter": 1?
//   data      what the codec made of it: a string (a codec of text) | { "b64": base64 } | { "ref": [blob name, bytes, crc32] }
//   page      [[entry…]…]: chains of a group. Page 0 is the document; a page names only pages with lower numbers, but for page 0.
//
// Whatever is not listed is refused by name: a reader that skipped a key it does not know would run another pipeline than was meant.
// Entries stay the parsed arrays: a group of 250,000 costs what JSON.parse costs.
import { TaskError } from './errors'
import type { RetryData } from './retry'

/** The most that one definition may take. */
export const MAX_DEFINITION_BYTES = 64 * 1024 * 1024
/** Levels of pages that list pages: more than the largest definition needs. */
const MAX_INDEX = 8

export interface Definition {
  readonly v: 1
  readonly steps: readonly Step[]
  readonly chain: Chain
  /** A list of values for the first entry, as if it came from upstream; for every chain's first, if that is a group. */
  readonly input?: ArgsData
  /** The values with which the pipeline's state begins, by key. */
  readonly state?: Readonly<Record<string, ArgsData>>
  /** Shares the state of the pipeline whose task returns it. */
  readonly inline?: 1
  /** Runs after the chain, however that ended. */
  readonly finally?: TaskEntry
}

/** How a task is used: its name and every option that is not the default. */
export interface Step {
  readonly task: string
  /** Takes the upstream result as its first argument. */
  readonly open?: 1
  /** Runs after a failure only, and takes the error as its first argument: such a step is open. */
  readonly catch?: 1
  readonly queue?: string
  readonly retry?: RetryData
  readonly timeoutMs?: number
  readonly priority?: number
  readonly displayName?: string
  /** Used by one entry of the pipeline. */
  readonly taskId?: string
  /** The pipeline is paused when the entry has ended. */
  readonly pauseAfter?: 1
  /** Its result need not be stored: what follows runs with it. */
  readonly checkpoint?: 0
}

export type Chain = readonly Entry[]
export type Entry = TaskEntry | GroupEntry | EachEntry | ValueEntry | SleepEntry | EventEntry
export type TaskEntry = readonly [step: number] | readonly [step: number, args: ArgsData]

/** The codec's bytes of a list of arguments, of an element, or of a state. */
export type ArgsData =
  | string
  | { readonly b64: string }
  | { readonly ref: readonly [name: string, bytes: number, crc32: number] }

/** The bytes of what is in place. */
export function dataBytes(data: ArgsData): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data)
  if ('b64' in data) return Buffer.from(data.b64, 'base64')
  throw new TaskError('TASKS_DEFINITION_INVALID', `"${data.ref[0]}" is stored apart`)
}

export type PageRef = readonly [page: number, first: number]

/** How chains run side by side. */
export interface Parallel {
  readonly returnExceptions?: 1
  readonly maxParallelism?: number
  /** Results in the order in which the chains ended. */
  readonly unordered?: 1
  /** The pipeline is paused when the entry has ended. */
  readonly pauseAfter?: 1
}

export interface GroupEntry extends Parallel {
  /** How many chains. */
  readonly group: number
  readonly chains?: readonly Chain[]
  /** Number of the page, and the index of its first chain. */
  readonly pages?: readonly PageRef[]
  /** The same of pages that hold parts of this group. */
  readonly index?: readonly PageRef[]
}

/** A chain for each element of the upstream array, which is the upstream value of its first entry. */
export interface EachEntry extends Parallel {
  readonly each: Chain
}

/** Gives a value, at once and without a worker: the element that its chain is for. */
export interface ValueEntry {
  readonly value: ArgsData
  readonly pauseAfter?: never
}

/** Waits this long from its start, or until this time; both in whole ms. Passes on what it got. */
export type SleepEntry = ({ readonly sleep: number } | { readonly sleepUntil: number }) & { readonly pauseAfter?: 1 }

/** What `match` compares with, and an event shows of its value. */
export type Scalar = string | number | boolean | null

/** Waits for an event. */
export interface EventEntry {
  readonly event: string
  /** Of those that were sent to this pipeline; else of those of the namespace. */
  readonly pipeline?: 1
  /** What its value must have at these paths. */
  readonly match?: Readonly<Record<string, Scalar>>
  /** From its start; then the entry fails. */
  readonly timeoutMs?: number
  readonly pauseAfter?: 1
}

export function isTask(entry: Entry): entry is TaskEntry {
  return Array.isArray(entry)
}

export function isGroup(entry: Entry): entry is GroupEntry {
  return 'group' in entry
}

/** Whether an entry is for failures of those before it. */
export function isHandler({ steps }: Definition, entry: Entry): boolean {
  return isTask(entry) && steps[entry[0]]!.catch === 1
}

/** Whether the result of a task need not be stored. */
export function isPure({ steps }: Definition, [step]: TaskEntry): boolean {
  return steps[step]!.checkpoint === 0
}

/** Whether the pipeline is paused when the entry has ended. */
export function pausesAfter({ steps }: Definition, entry: Entry): boolean {
  return (isTask(entry) ? steps[entry[0]]! : entry).pauseAfter === 1
}

export function isEach(entry: Entry): entry is EachEntry {
  return 'each' in entry
}

export function isValue(entry: Entry): entry is ValueEntry {
  return 'value' in entry
}

export function isSleep(entry: Entry): entry is SleepEntry {
  return 'sleep' in entry || 'sleepUntil' in entry
}

export function isEvent(entry: Entry): entry is EventEntry {
  return 'event' in entry
}

/** The name of the first task, as far as the document's first page says it. */
export function nameOf(document: Definition, chain: Chain): string {
  for (const entry of chain) {
    if (isTask(entry)) {
      const { displayName, task } = document.steps[entry[0]]!
      return displayName ?? task
    }
    const inner = isEach(entry) ? entry.each : isGroup(entry) ? entry.chains?.[0] : undefined
    if (inner !== undefined) return nameOf(document, inner)
  }
  return ''
}

/**
 * One chain of a group.
 * @param page gives the chains of a page by its number
 * @throws TaskError TASKS_DEFINITION_INVALID if there is no such chain
 */
export function childChain(group: GroupEntry, index: number, page: (number: number) => readonly Chain[]): Chain {
  let part = group
  let at = index
  for (let level = 0; level < MAX_INDEX; level++) {
    const list = part.pages ?? part.index
    if (list === undefined) break
    // The last page that begins at or before it.
    let low = 0
    let high = list.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (list[middle]![1] <= at) low = middle
      else high = middle - 1
    }
    const [number, first] = list[low]!
    const chains = page(number)
    at -= first
    if (part.pages !== undefined) return found(chains[at], group, index)
    const inner = chains[0]?.[0]
    if (inner === undefined || !isGroup(inner)) break
    part = inner
  }
  return found(part.chains?.[at], group, index)
}

function found(chain: Chain | undefined, group: GroupEntry, index: number): Chain {
  if (chain !== undefined) return chain
  throw new TaskError('TASKS_DEFINITION_INVALID', `a group of ${group.group} chains has no chain ${index}`)
}
