// A pipeline as it stands, drawn as a tree: a line for each entry.
import type {
  ChainDescription,
  DescribedError,
  EntryDescription,
  EntryState,
  GroupDescription,
  PipelineDescription,
} from '@tasks/core'
import { showDuration } from './duration'
import type { Line, Style } from './terminal'

const MARKS: Readonly<Record<EntryState, string>> = {
  pending: '·',
  waiting: '◷',
  running: '▶',
  held: '‖',
  done: '✓',
  skipped: '–',
  failed: '✗',
  cancelled: '✗',
}

const STYLES: Readonly<Partial<Record<EntryState, Style>>> = {
  pending: 'dim',
  skipped: 'dim',
  waiting: 'yellow',
  running: 'yellow',
  held: 'yellow',
  done: 'green',
  failed: 'red',
  cancelled: 'yellow',
}

/** @param now ms since the epoch */
export function drawDescription(told: PipelineDescription, now: number): readonly Line[] {
  const { id, name, status, done, tasks, attempts, createdAt, finishedAt, chain, error } = told
  const took = createdAt === undefined ? '' : `, ${showDuration((finishedAt ?? now) - createdAt)}`
  const head = `${status}  ${id}  ${name}  ${done} of ${tasks} tasks, ${attempts} attempts${took}`
  const lines: Line[] = [{ text: plain(head), style: 'bold' }]
  if (chain !== undefined) new Drawing(lines, now).chain(chain, '', '')
  // Of what has failed the entry says it.
  if (error !== undefined && chain?.state !== 'failed') lines.push({ text: messageOf(error), style: 'red' })
  return lines
}

class Drawing {
  readonly #lines: Line[]
  readonly #now: number

  constructor(lines: Line[], now: number) {
    this.#lines = lines
    this.#now = now
  }

  /** The first line begins with `first`, the others with `rest`. */
  chain(
    { state, entries, hidden = [0, 0], hops, finally: last, error }: ChainDescription,
    first: string,
    rest: string,
  ): void {
    let start = first
    const add = (text: string, style?: Style): void => {
      this.#lines.push({ text: plain(start + text), ...(style === undefined ? {} : { style }) })
      start = rest
    }
    if (hops !== undefined) add(`… ${hops} pipelines before, each in place of the other`, 'dim')
    if (hidden[0] > 0) add(`… ${hidden[0]} entries before`, 'dim')
    for (const entry of last === undefined ? entries : [...entries, last]) {
      if (entry === last && hidden[1] > 0) add(`… ${hidden[1]} entries more`, 'dim')
      add(this.#entry(entry), STYLES[entry.state])
      if (entry.group !== undefined) this.#group(entry.group, `${rest}  `)
      if (entry.returned !== undefined) this.chain(entry.returned, `${rest}  └ `, `${rest}    `)
    }
    if (last === undefined && hidden[1] > 0) add(`… ${hidden[1]} entries more`, 'dim')
    // A chain that has ended is told by its state.
    if (entries.length === 0) add(`${MARKS[state]}${error === undefined ? '' : ` ${messageOf(error)}`}`, STYLES[state])
  }

  #group({ size, chains }: GroupDescription, indent: string): void {
    const more = size - chains.length
    for (const [at, chain] of chains.entries()) {
      const isLast = at === chains.length - 1 && more === 0
      const label = `[${chain.index}] `
      this.chain(
        chain,
        `${indent}${isLast ? '└─' : '├─'} ${label}`,
        `${indent}${isLast ? '  ' : '│ '} ${' '.repeat(label.length)}`,
      )
    }
    if (more > 0) this.#lines.push({ text: `${indent}└─ … ${more} more`, style: 'dim' })
  }

  #entry(entry: EntryDescription): string {
    const { name, kind, state, attempt, since, tookMs, error, progress, sleepMs, sleepUntil, group } = entry
    const { returned, pauses } = entry
    const title = kind === 'handler' ? `on error: ${name}` : kind === 'finally' ? `finally: ${name}` : name
    const facts = [
      sleepMs === undefined ? '' : showDuration(sleepMs),
      sleepUntil === undefined ? '' : `until ${new Date(sleepUntil).toISOString()}`,
      group === undefined ? '' : countsOf(group),
      attempt === undefined || attempt === 1 ? '' : `attempt ${attempt}`,
      tookMs !== undefined ? showDuration(tookMs) : this.#goesOn(state, since),
      progress === undefined ? '' : `${Math.round(100 * progress.fraction)}% ${progress.note}`,
      pauses === true ? 'then pauses' : '',
      // Of what is below it, that tells.
      error === undefined || returned !== undefined || group !== undefined ? '' : messageOf(error),
    ].filter((fact) => fact !== '')
    return `${MARKS[state]} ${title}${facts.length === 0 ? '' : `  ${facts.join(', ')}`}`
  }

  #goesOn(state: EntryState, since: number | undefined): string {
    const isOver = state === 'failed' || state === 'done' || state === 'cancelled'
    return since === undefined || isOver ? '' : showDuration(Math.max(0, this.#now - since))
  }
}

function countsOf({ size, started, ended, failed, maxParallelism }: GroupDescription): string {
  const counts = [`${size} chains`, `${ended} ended`]
  if (failed > 0) counts.push(`${failed} failed`)
  if (started > ended) counts.push(`${started - ended} running`)
  if (maxParallelism !== undefined) counts.push(`${maxParallelism} at a time`)
  return counts.join(', ')
}

const messageOf = ({ name, message }: DescribedError): string => `${name}: ${message.split('\n', 1)[0]!}`

/** What would move the cursor does not. */
const plain = (text: string): string => text.replace(/\p{Cc}+/gu, ' ')
