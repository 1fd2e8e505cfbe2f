// The failures of a group, in the order of its chains, a page at a time: an error holds only the first ones.
import type { Failure } from '../failure'
import { asBuffer } from '../record'
import { FrameReader, isFailure, Kind, type GroupFailures, type Value } from '../value'
import type { GroupRow } from './rows'
import { chunkOfResults, type RunKeys } from './row-keys'
import type { RowSource } from './row-source'

/** What went wrong, in short: as JSON, for people. */
export interface DescribedError {
  readonly code: string
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** The task that failed. */
  readonly task?: Failure['task']
  /** How many chains failed, if it is the error of a group. */
  readonly errorCount?: number
}

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
const MOST_MESSAGE = 1_000
const MOST_STACK = 2_000

export function describeError(failure: Value): DescribedError {
  if (failure.kind === Kind.error) return shortened(JSON.parse(asBuffer(failure.bytes).toString()) as Failure)
  const reader = new FrameReader(failure.bytes)
  const { count, size } = JSON.parse(asBuffer(reader.value().bytes).toString()) as GroupFailures
  const first = reader.done ? '' : `; the first: ${describeError(reader.value()).message}`
  const message = `${count} of ${size} chains of a group failed${first}`
  return shortened({ code: 'TASKS_GROUP_FAILED', name: 'TaskError', message, errorCount: count })
}

function shortened({ code, name, message, stack, task, errorCount }: Failure): DescribedError {
  return {
    code,
    name,
    message: message.slice(0, MOST_MESSAGE),
    ...(stack === undefined ? {} : { stack: stack.slice(0, MOST_STACK) }),
    ...(task === undefined ? {} : { task }),
    ...(errorCount === undefined ? {} : { errorCount }),
  }
}

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
