// Where rows and blobs are: the keys of what belongs to a partition, a pipeline, a run. rows.ts lists them.
import { escapeId } from '../ids'
import type { RowKey } from '../transport'
import { CHUNK, type JobRow } from './rows'

const digits = (number: number, length: number): string => number.toString(36).padStart(length, '0')

/** The latest time that a timer can have, in the year 5188: what is due later is due then. */
export const LATEST_MS = 36 ** 9 - 1

/** Keys of what belongs to one run of one pipeline. Built once per message: the escaped id is the costly part. */
export class RunKeys {
  readonly pipeline: RowKey
  readonly #prefix: string
  readonly #suffix: string

  constructor(id: string, gen: number) {
    const escaped = escapeId(id)
    this.pipeline = `M/${escaped}`
    this.#prefix = `P${escaped}/${gen}:`
    this.#suffix = `${escaped}/${gen}`
  }

  /** Prefix of every row of the run but the pipeline's own. */
  get all(): string {
    return this.#prefix
  }

  chain(base: string): RowKey {
    return `${this.#prefix}c${base}`
  }
  page(frame: string, page: number): RowKey {
    return `${this.#prefix}d${frame}#${page}`
  }
  groups(): string {
    return `${this.#prefix}g`
  }
  group(entry: string): RowKey {
    return `${this.#prefix}g${entry}`
  }
  chunk(entry: string, index: number): RowKey {
    return `${this.#prefix}b${entry}#${(index / CHUNK) | 0}`
  }
  /** Sorted by chunk, so that a scan meets the results of a chunk together. */
  results(entry: string, index: number, seq: number): RowKey {
    return `${this.#prefix}r${entry}#${digits((index / CHUNK) | 0, 5)}.${digits(seq, 1)}`
  }
  /** Sorted by commit. */
  unorderedResults(entry: string, seq: number): RowKey {
    return `${this.#prefix}r${entry}#00000.${digits(seq, 9)}`
  }
  resultsPrefix(entry: string): string {
    return `${this.#prefix}r${entry}#`
  }
  held(entry: string): RowKey {
    return `${this.#prefix}h${entry}`
  }
  final(base: string): RowKey {
    return `${this.#prefix}f${base}`
  }
  wait(entry: string): RowKey {
    return `${this.#prefix}w${entry}`
  }
  isWait(key: RowKey): boolean {
    return key.startsWith(`${this.#prefix}w`)
  }
  heldPrefix(): string {
    return `${this.#prefix}h`
  }
  finalsPrefix(): string {
    return `${this.#prefix}f`
  }
  /** A key has whole milliseconds: a fraction would be longer, and sort behind everything. */
  timer(due: number, what: string): RowKey {
    return `T/${digits(Math.min(Math.max(0, Math.ceil(due)), LATEST_MS), 9)}/${this.#suffix}${what}`
  }
  job(kind: JobRow['kind'], path: string): RowKey {
    return `X/${this.#suffix}${kind}${path}`
  }
}

/** Keys of the box of one address. */
export class BoxKeys {
  readonly address: string
  readonly box: RowKey
  readonly #prefix: string

  constructor(address: string) {
    this.address = address
    this.#prefix = `B${escapeId(address)}/`
    this.box = `${this.#prefix}m`
  }

  /** By the part behind the entity, as jobs and timers name it. */
  row(name: string): RowKey {
    return this.#prefix + name
  }
  waiterRow({ id, run, path }: { readonly id: string; readonly run: string; readonly path: string }): string {
    return `w${escapeId(id)}/${escapeId(run)}${path}`
  }
  waiter(name: Parameters<BoxKeys['waiterRow']>[0]): RowKey {
    return this.row(this.waiterRow(name))
  }
  waiters(): string {
    return this.row('w')
  }
  event(number: number): RowKey {
    return this.row(`k${digits(number, 9)}`)
  }
  events(): string {
    return this.row('k')
  }
  seenRow(eventId: string): string {
    return `i${escapeId(eventId)}`
  }
  seen(eventId: string): RowKey {
    return this.row(this.seenRow(eventId))
  }
  isSeen(key: RowKey): boolean {
    return key.startsWith(this.row('i'))
  }
  numberOf(eventKey: RowKey): number {
    return Number.parseInt(eventKey.slice(this.#prefix.length + 1), 36)
  }
}

/** The rows that a `clean` job deletes. */
export function cleanedBy({ id, gen, path }: Pick<JobRow, 'id' | 'gen' | 'path'>): string {
  const keys = new RunKeys(id, gen)
  return path === '' ? keys.all : keys.resultsPrefix(path)
}

export const pipelineKey = (id: string): RowKey => `M/${escapeId(id)}`
export const TALLY = 'N/live'
export const PIPELINES = 'M/'
export const TIMERS = 'T/'
export const WINDOWS = 'W/'
export const JOBS = 'X/'
export const windowKey = (seq: number): RowKey => `${WINDOWS}${digits(seq, 9)}`
export const dueOf = (timerKey: RowKey): number => Number.parseInt(timerKey.slice(2, 11), 36)
export const chunkOfResults = (key: RowKey): number =>
  Number.parseInt(key.slice(key.lastIndexOf('#') + 1, key.lastIndexOf('.')), 36)

export const commitOfResults = (key: RowKey): number => Number.parseInt(key.slice(key.lastIndexOf('.') + 1), 36)

/** The run that a retried run goes on with: its values are still where that one put them. */
export const firstRun = (run: string): string => {
  const plus = run.indexOf('+')
  return plus < 0 ? run : run.slice(0, plus)
}

/** The run that retries another. */
export function nextRun(run: string): string {
  const first = firstRun(run)
  return `${first}+${run === first ? 1 : Number(run.slice(first.length + 1)) + 1}`
}

/** Blobs of a run: every value too large for a message, until the run's retention ends. */
export const blobPrefix = (id: string, run: string): string => `${escapeId(id)}/${firstRun(run)}/`

/** Pages that live in a blob are read through the same cache as rows, under this pseudo key. */
export const blobPageKey = (blob: string, page: number): RowKey => `@${blob}#${page}`
