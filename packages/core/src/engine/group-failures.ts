// The failures of a group, in the order of its chains, a page at a time: an error holds only the first ones.
import { describeError, type DescribedError } from '../described-error'
import { FrameReader, isFailure, Kind } from '../value'
import type { GroupRow } from './rows'
import { chunkOfResults, type RunKeys } from './row-keys'
import type { RowSource } from './row-source'

export interface GroupFailure {
  /** Which chain of the group. */
  readonly index: number
  readonly error: DescribedError
}

export interface FailuresPage {
  /** The group. */
  readonly taskId: string
  readonly errors: readonly GroupFailure[]
  /** There are more: ask for those after the last `index`. */
  readonly more: boolean
}

const PAGE = 64

/** Failures of chains above `after`: at most so many, of about so many bytes. */
export async function failuresOf(
  source: RowSource,
  keys: RunKeys,
  entry: string,
  group: GroupRow,
  after: number,
  limit: number,
  mostBytes: number,
): Promise<Omit<FailuresPage, 'taskId'>> {
  const prefix = keys.resultsPrefix(entry)
  // Results of a chunk are next to each other, in the order in which they came; without an order, all of them are.
  let from = group.unordered || after < 0 ? undefined : keys.results(entry, after, 0)
  let chunk = -1
  let found: GroupFailure[] = []
  const errors: GroupFailure[] = []
  let bytes = mostBytes
  const take = (): boolean => {
    found.sort((a, b) => a.index - b.index)
    for (const failure of found) {
      bytes -= JSON.stringify(failure.error).length
      if (errors.length === limit || (bytes < 0 && errors.length > 0)) return false
      errors.push(failure)
    }
    found = []
    return true
  }
  for (;;) {
    const page = await source.scan(prefix, from, PAGE)
    for (const [key, row] of page) {
      const of = chunkOfResults(key)
      if (of !== chunk && !take()) return { errors, more: true }
      chunk = of
      for (const reader = new FrameReader(row); !reader.done;) {
        const index = reader.number()
        const value = reader.value()
        if (value.kind === Kind.state || !isFailure(value) || index <= after) continue
        found.push({ index, error: describeError(value) })
        // Of an unordered group the lowest are kept.
        if (found.length > 4 * limit) found = found.sort((a, b) => a.index - b.index).slice(0, limit + 1)
      }
    }
    if (page.length < PAGE) return { errors, more: !take() }
    from = page.at(-1)![0]
  }
}
