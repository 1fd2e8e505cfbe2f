// What is kept of a group: one row of counters, two bits a chain, and its results, packed per chunk and commit. So the cost of a
// chain that ends does not depend on how many there are, and a chain that never did anything special has no row.
import type { GroupEntry } from '../definition'
import { isFailure, type Value } from '../value'
import type { Draft, RunView } from './draft'
import {
  CHUNK, clearBit, firstStep, hasBit, newChunk, setBit, type ChainRow, type ChunkRow, type GroupRow,
} from './rows'

/** Makes the rows of a group. Its chains are started by the pump, as capacity allows. */
export function startGroup(draft: Draft, run: RunView, entry: string, group: GroupEntry, input: Value): void {
  draft.put(run.keys.group(entry), {
    size: group.group, next: 0, ended: 0, failed: 0, returnExceptions: group.returnExceptions === 1, most: group.maxParallelism ?? 0, input,
  })
  for (let index = 0; index < group.group; index += CHUNK) draft.put(run.keys.chunk(entry, index), newChunk())
  draft.put(run.keys.job('pump', entry), { kind: 'pump', id: run.row.id, run: run.row.run, gen: run.row.gen, path: entry })
}

export function editGroup(draft: Draft, run: RunView, entry: string): GroupRow | undefined {
  return draft.edit<GroupRow>(run.keys.group(entry), (group) => ({ ...group }))
}

function editChunk(draft: Draft, run: RunView, entry: string, index: number): ChunkRow {
  return draft.edit<ChunkRow>(run.keys.chunk(entry, index), ({ ended, live }) => ({ ended: ended.slice(), live: live.slice() }))!
}

/** The state of a chain of a group, or undefined if it does not run now. */
export function childState(draft: Draft, run: RunView, base: string, entry: string, index: number): ChainRow | undefined {
  const group = draft.get<GroupRow>(run.keys.group(entry))
  if (group === undefined || index >= group.next) return undefined
  const chunk = draft.get<ChunkRow>(run.keys.chunk(entry, index))
  const bit = index % CHUNK
  if (chunk === undefined || hasBit(chunk.ended, bit)) return undefined
  return hasBit(chunk.live, bit) ? draft.get<ChainRow>(run.keys.chain(base)) : firstStep(group.input)
}

export function isLive(draft: Draft, run: RunView, entry: string, index: number): boolean {
  const chunk = draft.get<ChunkRow>(run.keys.chunk(entry, index))
  return chunk !== undefined && hasBit(chunk.live, index % CHUNK)
}

/** From now on the chain has a row of its own. */
export function markLive(draft: Draft, run: RunView, entry: string, index: number): void {
  if (!isLive(draft, run, entry, index)) setBit(editChunk(draft, run, entry, index).live, index % CHUNK)
}

/** A chain has ended with this result or failure. The last one makes the group ready to be joined. */
export function markEnded(draft: Draft, run: RunView, entry: string, index: number, value: Value): void {
  const group = editGroup(draft, run, entry)!
  const chunk = editChunk(draft, run, entry, index)
  const bit = index % CHUNK
  setBit(chunk.ended, bit)
  clearBit(chunk.live, bit)
  draft.addResult(run.keys.results(entry, index, draft.seq), index, value)
  group.ended++
  if (isFailure(value)) group.failed++
  if (group.ended === group.size) {
    draft.put(run.keys.job('fan-in', entry), { kind: 'fan-in', id: run.row.id, run: run.row.run, gen: run.row.gen, path: entry })
  }
}
