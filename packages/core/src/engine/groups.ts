// What is kept of a group: one row of counters, two bits a chain, and its results, packed per chunk and commit. So the cost of a
// chain that ends does not depend on how many there are, and a chain that never did anything special has no row.
import type { Chain, Definition, GroupEntry } from '../definition'
import type { State } from '../state'
import { isFailure, type Value } from '../value'
import type { RowKey } from '../transport'
import type { Draft, RunView } from './draft'
import {
  CHUNK,
  clearBit,
  firstStep,
  hasBit,
  newChunk,
  setBit,
  type ChainRow,
  type ChunkRow,
  type GroupRow,
} from './rows'

/** The chains of a group, as its definition has them. */
export interface GroupChains {
  readonly definition: Definition
  readonly group: GroupEntry
  readonly page: (number: number) => readonly Chain[]
}

/** A group in a draft. What a thousand of its chains look up for each outcome is looked up once. */
export class GroupView {
  /** Found by `groupAt` (places.ts) when first needed. */
  chains: GroupChains | undefined
  readonly #draft: Draft
  readonly #run: RunView
  readonly #entry: string
  #row: GroupRow | undefined
  #edited: GroupRow | undefined
  #chunkNumber = -1
  #chunk: ChunkRow | undefined
  #chunkEdited = false
  #resultsKey: RowKey = ''
  /** The state of all chains that have no row: theirs together, and never changed in place. */
  #firstStep: ChainRow | undefined

  constructor(draft: Draft, run: RunView, entry: string) {
    this.#draft = draft
    this.#run = run
    this.#entry = entry
  }

  /** Undefined if there is no such group now. */
  get row(): GroupRow | undefined {
    return this.#edited ?? (this.#row ??= this.#draft.get<GroupRow>(this.#run.keys.group(this.#entry)))
  }

  edit(): GroupRow | undefined {
    return (this.#edited ??= this.#draft.edit<GroupRow>(this.#run.keys.group(this.#entry), (group) => ({ ...group })))
  }

  #chunkOf(index: number, editable: boolean): ChunkRow | undefined {
    const number = (index / CHUNK) | 0
    if (number === this.#chunkNumber && (this.#chunkEdited || !editable)) return this.#chunk
    const key = this.#run.keys.chunk(this.#entry, index)
    this.#chunk = editable
      ? this.#draft.edit<ChunkRow>(key, ({ ended, live }) => ({ ended: ended.slice(), live: live.slice() }))
      : this.#draft.get<ChunkRow>(key)
    this.#chunkNumber = number
    this.#chunkEdited = editable
    const { keys } = this.#run
    this.#resultsKey = this.row!.unordered
      ? keys.unorderedResults(this.#entry, this.#draft.seq)
      : keys.results(this.#entry, index, this.#draft.seq)
    return this.#chunk
  }

  /** The state of a chain, or undefined if it does not run now. */
  child(base: string, index: number): ChainRow | undefined {
    const group = this.row
    if (group === undefined || index >= group.next) return undefined
    const chunk = this.#chunkOf(index, false)
    const bit = index % CHUNK
    if (chunk === undefined || hasBit(chunk.ended, bit)) return undefined
    if (hasBit(chunk.live, bit)) return this.#draft.get<ChainRow>(this.#run.keys.chain(base))
    return (this.#firstStep ??= firstStep(group.input))
  }

  /** A chain that failed is to run again, because the pipeline is retried. */
  reopen(index: number, hasRow: boolean): void {
    const group = this.edit()!
    const chunk = this.#chunkOf(index, true)!
    const bit = index % CHUNK
    clearBit(chunk.ended, bit)
    if (hasRow) setBit(chunk.live, bit)
    group.ended--
    group.failed--
  }

  /** Whether the chain has a row of its own. */
  isLive(index: number): boolean {
    const chunk = this.#chunkOf(index, false)
    return chunk !== undefined && hasBit(chunk.live, index % CHUNK)
  }

  markLive(index: number): void {
    if (!this.isLive(index)) setBit(this.#chunkOf(index, true)!.live, index % CHUNK)
  }

  /** A chain has ended with this result or failure. The last one makes the group ready to be joined. */
  markEnded(index: number, value: Value, state: State): void {
    const group = this.edit()!
    const chunk = this.#chunkOf(index, true)!
    const bit = index % CHUNK
    setBit(chunk.ended, bit)
    clearBit(chunk.live, bit)
    this.#draft.addResult(this.#resultsKey, index, value, state)
    group.ended++
    if (isFailure(value)) group.failed++
    this.joinIfComplete()
  }

  /** Has its results joined when all of its chains have ended. */
  joinIfComplete(): void {
    const { ended, size, reopening } = this.row!
    if (ended < size || reopening) return
    this.#draft.startJob(this.#run, { kind: 'fan-in', path: this.#entry })
  }
}

export function viewGroup(draft: Draft, run: RunView, entry: string): GroupView {
  let view = run.groups.get(entry)
  if (view === undefined) run.groups.set(entry, (view = new GroupView(draft, run, entry)))
  return view
}

/** Makes the rows of a group. Its chains are started by the pump, as capacity allows. */
export function startGroup(
  draft: Draft,
  run: RunView,
  entry: string,
  group: GroupEntry,
  input: Value,
  state: State,
): void {
  run.groups.delete(entry)
  draft.put(run.keys.group(entry), {
    size: group.group,
    next: 0,
    ended: 0,
    failed: 0,
    returnExceptions: group.returnExceptions === 1,
    most: group.maxParallelism ?? 0,
    unordered: group.unordered === 1,
    reopening: false,
    input,
    state,
  })
  for (let index = 0; index < group.group; index += CHUNK) draft.put(run.keys.chunk(entry, index), newChunk())
  draft.startJob(run, { kind: 'pump', path: entry })
}

/** Deletes the rows of a group that was joined. */
export function deleteGroup(draft: Draft, run: RunView, entry: string, group: GroupRow): void {
  run.groups.delete(entry)
  for (let index = 0; index < group.size; index += CHUNK) draft.delete(run.keys.chunk(entry, index))
  draft.delete(run.keys.group(entry))
}
