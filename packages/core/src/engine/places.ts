// Where a chain stands: its row, what it answers to, and its entries as the definition has them.
import { childChain, isGroup, type Chain, type Definition, type Entry, type GroupEntry } from '../definition'
import { mergeState, type State } from '../state'
import type { Draft, RunView } from './draft'
import { readPage } from './frames'
import { viewGroup, type GroupChains } from './groups'
import {
  entryPath,
  frameOf,
  hopPath,
  parentOf,
  placeInPath,
  splitEntry,
  splitHop,
  wayTo,
  type ChainParent,
} from './paths'
import { isOver, type ChainRow, type Note } from './rows'

const MOST_NOTES = 20

/** A chain, named without its tail calls, and what it answers to. */
export interface Place {
  readonly base: string
  readonly parent: ChainParent
}

export const placeOf = (base: string): Place => ({ base, parent: parentOf(base) })

/** The chain that an entry is part of. */
export const placeOfEntry = (path: string): Place => placeOf(splitHop(splitEntry(path)!.chain).base)

/** The path of the entry that a chain is at. */
export const pathAt = ({ base }: Place, { hop, at }: ChainRow): string => entryPath(hopPath(base, hop), at)

// ---- Rows ----------------------------------------------------------------------------------------------------------

/** The state of a chain, or undefined if it does not run now. */
export function readChain(draft: Draft, run: RunView, { base, parent }: Place): ChainRow | undefined {
  switch (parent.kind) {
    case 'root':
      return run.row.chain
    case 'group':
      return viewGroup(draft, run, parent.entry).child(base, parent.index)
    case 'frame':
      return draft.get<ChainRow>(run.keys.chain(base))
  }
}

export function writeChain(draft: Draft, run: RunView, { base, parent }: Place, row: ChainRow): void {
  if (parent.kind === 'root') {
    run.row.chain = row
    return
  }
  draft.put(run.keys.chain(base), row)
  if (parent.kind === 'group') viewGroup(draft, run, parent.entry).markLive(parent.index)
}

// ---- Entries -------------------------------------------------------------------------------------------------------

export interface Entries {
  readonly definition: Definition
  readonly entries: Chain
}

/** What runs after a chain, however that ends: the finally of its definition, if it has one of its own. */
export function finallyOf({ parent }: Place, hop: number, { definition }: Pick<Entries, 'definition'>) {
  return parent.kind !== 'group' || hop > 0 ? definition.finally : undefined
}

/** What a chain is at: an entry, or its finally. */
export function entryAt({ definition, entries }: Entries, { at, saved }: ChainRow): Entry {
  return saved === undefined ? entries[at]! : definition.finally!
}

/** The entries of a chain, as its definition has them. */
export function entriesOf(draft: Draft, run: RunView, { base, parent }: Place, hop: number): Entries {
  if (parent.kind === 'group' && hop === 0) {
    const { definition, group, page } = groupAt(draft, run, parent.entry)
    return { definition, entries: childChain(group, parent.index, page) }
  }
  return frameEntries(draft, run, hopPath(base, hop))
}

/** The group at an entry, and how to find its chains. */
export function groupAt(draft: Draft, run: RunView, path: string): GroupChains {
  const view = viewGroup(draft, run, path)
  if (view.chains !== undefined) return view.chains
  const { chain, index } = splitEntry(path)!
  const { definition, entries, page } = frameEntries(draft, run, chain)
  return (view.chains = { definition, group: asGroup(entries[index], path), page })
}

/** From the chain's frame down to the chain. */
function frameEntries(draft: Draft, run: RunView, chain: string): Entries & Pick<GroupChains, 'page'> {
  const frame = frameOf(chain)
  const source = readChain(draft, run, placeOf(splitHop(frame).base))!.definition!
  const definition = readPage(draft, run, frame, source, 0).definition()
  const page = lastPage((number) => readPage(draft, run, frame, source, number).chains(definition, number))
  let entries = definition.chain
  for (const [entry, child] of wayTo(chain, frame)) entries = childChain(asGroup(entries[entry], chain), child, page)
  return { definition, entries, page }
}

/** Neighbouring chains are mostly on one page. */
function lastPage(read: GroupChains['page']): GroupChains['page'] {
  let last = -1
  let chains: readonly Chain[] = []
  return (number) => {
    if (number !== last) {
      chains = read(number)
      last = number
    }
    return chains
  }
}

function asGroup(entry: Entry | undefined, path: string): GroupEntry {
  if (entry === undefined || !isGroup(entry)) throw new Error(`the definition has no group at ${path}`)
  return entry
}

// ---- State ---------------------------------------------------------------------------------------------------------

/** The pipeline's state as a chain's next task sees it. */
export function stateAt(draft: Draft, run: RunView, place: Place, row: ChainRow): State {
  return mergeState(stateBelow(draft, run, place, row), row.state)
}

/** What a chain began with. */
function stateBelow(draft: Draft, run: RunView, { parent }: Place, row: ChainRow): State {
  const { definition } = row
  // A frame with a state of its own begins with what its definition says, which is in its row.
  if (definition !== undefined && definition.inline !== 1) return undefined
  if (parent.kind === 'root') return undefined
  if (parent.kind === 'group') return viewGroup(draft, run, parent.entry).row?.state
  const caller = placeOfEntry(parent.entry)
  return stateAt(draft, run, caller, readChain(draft, run, caller)!)
}

// ---- Open entries --------------------------------------------------------------------------------------------------

export interface OpenEntry extends Place {
  readonly path: string
  readonly row: ChainRow
}

/** The chain that is at this entry, whatever it does there. */
export function reachedEntry(draft: Draft, run: RunView, path: string): OpenEntry | undefined {
  const place = placeInPath(path)
  if (place === undefined || isOver(run.row.status)) return undefined
  const row = readChain(draft, run, place)
  if (row === undefined || row.hop !== place.hop || row.at !== place.index) return undefined
  return { base: place.base, parent: place.parent, path, row }
}

/** The same, if the entry is open (C1). */
export function openEntry(draft: Draft, run: RunView, path: string): OpenEntry | undefined {
  const reached = reachedEntry(draft, run, path)
  if (reached === undefined) return undefined
  const { phase } = reached.row
  if (phase !== 'sent' && phase !== 'waiting' && phase !== 'held') return undefined
  return reached
}

/** The same of an entry whose attempt is with a worker. */
export function sentEntry(draft: Draft, run: RunView, path: string, attempt: number): OpenEntry | undefined {
  const open = openEntry(draft, run, path)
  return open !== undefined && open.row.phase === 'sent' && open.row.attempt === attempt ? open : undefined
}

/** Whether this attempt of this entry is outstanding: dispatched, and not heard of since. */
export function isOutstanding(draft: Draft, run: RunView, path: string, attempt: number): ChainRow | undefined {
  return sentEntry(draft, run, path, attempt)?.row
}

/** Keeps what a running task says of itself: the latest notes, a few at most. */
export function noteProgress(draft: Draft, run: RunView, path: string, attempt: number, note: Note): void {
  if (sentEntry(draft, run, path, attempt) === undefined) return
  const { [path]: _, ...others } = run.row.notes ?? {}
  run.row.notes = Object.fromEntries([...Object.entries(others).slice(1 - MOST_NOTES), [path, note]])
}
