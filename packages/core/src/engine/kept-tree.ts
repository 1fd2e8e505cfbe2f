// What is kept of the entries of a run that has ended well, or was cancelled: their names, and what its chain remembers of them, within so many bytes of
// the pipeline's row. Of what was below them nothing is.
import {
  isEach,
  isEvent,
  isGroup,
  isHandler,
  isTask,
  isValue,
  type Definition,
  type Entry,
  type TaskEntry,
} from '../definition'
import type { ChainRow, KeptEntry, KeptTree } from './rows'

const MOST_NAME = 200
/** Of an entry beside its name. */
const ENTRY_BYTES = 12

/** Undefined if nothing is to be kept. */
export function keptTree(definition: Definition, row: ChainRow, hasEnded: boolean, mostBytes: number) {
  if (mostBytes === 0) return undefined
  const { hop, at, trail, caught = [] } = row
  const { chain, finally: last } = definition
  let left = mostBytes - (trail?.length ?? 0) - ENTRY_BYTES * caught.length
  const entries: KeptEntry[] = []
  for (const entry of chain) {
    const kept = keptEntry(definition, entry)
    left -= ENTRY_BYTES + kept[1].length
    if (left < 0) break
    entries.push(kept)
  }
  const tree: KeptTree = {
    hops: hop,
    at: hasEnded ? chain.length : at,
    trail,
    caught,
    entries,
    count: chain.length,
    finally: last && nameOfTask(definition, last),
  }
  return tree
}

function keptEntry(definition: Definition, entry: Entry): KeptEntry {
  if (isTask(entry)) return [isHandler(definition, entry) ? 'h' : 't', nameOfTask(definition, entry)]
  if (isGroup(entry)) return entry.returnExceptions === 1 ? ['g', ''] : ['g', '', entry.group]
  if (isEach(entry)) return ['e', '']
  if (isValue(entry)) return ['v', '']
  if (isEvent(entry)) return ['w', entry.event.slice(0, MOST_NAME)]
  return 'sleep' in entry ? ['s', '', entry.sleep] : ['u', '', entry.sleepUntil]
}

function nameOfTask({ steps }: Definition, [step]: TaskEntry): string {
  const { displayName, task } = steps[step]!
  return (displayName ?? task).slice(0, MOST_NAME)
}
