// Pipelines of one partition in order of their keys, a page at a time: each, if it is asked for, with what its tasks have returned.
import type { ListPosition, ListQuestion } from '../wire/inbox-message'
import { statusOf, type PipelineStatus } from './queries'
import { mayHaveReturned, ownFrame, returnedBelow, type ReturnedPipeline } from './returned-pipelines'
import { decodeRow } from './row-codec'
import { PIPELINES } from './row-keys'
import type { RowSource } from './row-source'
import type { PipelineRow } from './rows'

export interface Listed {
  readonly pipelines: readonly (PipelineStatus | ReturnedPipeline)[]
  /** Where to go on, if there may be more. */
  readonly next?: ListPosition
}

const MOST = 10_000
/** Rows that are looked at for one answer: a question that finds little is asked again from there, before whoever asks has lost patience. */
const MOST_ROWS = 10_000
const PAGE = 500
/** Chains at a time: each may need a page of its definition. */
const RETURNED_PAGE = 100

/** As many as were asked for, as `mostBytes` hold, or as can be looked at in one go. */
export async function listPipelines(source: RowSource, question: ListQuestion, mostBytes: number): Promise<Listed> {
  const list = new List(question, mostBytes)
  const hasReturned = question.returned === 1
  const { after, within } = question
  if (hasReturned && after !== undefined) {
    const [bytes] = await source.load([after])
    if (bytes !== undefined) await addReturned(list, source, after, decodeRow(after, bytes) as PipelineRow, within)
  }
  for (let last = after; !list.isFull;) {
    const page = await source.scan(PIPELINES, last, list.pageSize)
    for (const [key, bytes] of page) {
      const row = decodeRow(key, bytes) as PipelineRow
      list.add(statusOf(row) ?? undefined, { after: key })
      if (hasReturned && !list.isFull) await addReturned(list, source, key, row, undefined)
      if (list.isFull) return list.listed()
    }
    if (page.length < list.pageSize) return { pipelines: list.pipelines }
    last = page.at(-1)![0]
  }
  return list.listed()
}

/** What tasks of a pipeline have returned: first what has its own place, then what is below it. */
async function addReturned(
  list: List,
  source: RowSource,
  after: string,
  row: PipelineRow,
  within: string | undefined,
): Promise<void> {
  if (row.leaving || !mayHaveReturned(row, list.status)) return
  if (within === undefined) list.add(await ownFrame(source, row), { after, within: '' }, row.createdAt)
  for (let base = within; !list.isFull;) {
    const page = await returnedBelow(source, row, base, RETURNED_PAGE)
    for (const [place, found] of page) {
      list.add(found, { after, within: place }, row.createdAt)
      if (list.isFull) return
    }
    if (page.length < RETURNED_PAGE) return
    base = page.at(-1)![0]
  }
}

class List {
  readonly pipelines: (PipelineStatus | ReturnedPipeline)[] = []
  readonly pageSize: number
  isFull = false
  readonly #question: ListQuestion
  readonly #limit: number
  #bytes: number
  #rows = MOST_ROWS
  #position: ListPosition | undefined

  constructor(question: ListQuestion, mostBytes: number) {
    this.#question = question
    this.#bytes = mostBytes
    // What a client sends is not to be trusted with the length of a scan.
    this.#limit = Math.max(1, Math.min(Math.floor(question.limit) || 1, MOST))
    const { status, name, since = 0 } = question
    const isAnyPage = status === undefined && name === undefined && since === 0
    this.pageSize = isAnyPage ? Math.min(this.#limit, PAGE) : PAGE
  }

  get status(): string | undefined {
    return this.#question.status
  }

  /**
   * What there is at a position, if anything.
   * @param notBefore when it was created at the earliest, if it does not say when
   */
  add(found: PipelineStatus | ReturnedPipeline | undefined, position: ListPosition, notBefore = 0): void {
    this.#position = position
    this.isFull = --this.#rows <= 0
    if (found === undefined || !this.#isAskedFor(found, notBefore)) return
    this.pipelines.push(found)
    this.#bytes -= JSON.stringify(found).length
    if (this.pipelines.length === this.#limit || this.#bytes < 0) this.isFull = true
  }

  #isAskedFor(found: PipelineStatus | ReturnedPipeline, notBefore: number): boolean {
    const { status, name, since = 0 } = this.#question
    return (
      (status === undefined || found.status === status) &&
      (name === undefined || found.name === name) &&
      (found.createdAt ?? notBefore) >= since
    )
  }

  listed(): Listed {
    return { pipelines: this.pipelines, ...(this.#position && { next: this.#position }) }
  }
}
