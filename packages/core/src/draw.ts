// Pictures of a pipeline: a tree for terminals, and a Mermaid flowchart. Large ones are cut, and say by how much.
import {
  childChain,
  isEach,
  isEvent,
  isSleep,
  isTask,
  isValue,
  type Chain,
  type Definition,
  type Entry,
  type Step,
  type ValueEntry,
} from './definition'
import { TaskError } from './errors'
import {
  entriesOf,
  isEachUse,
  isEventUse,
  isPlan,
  isSleepUse,
  isTaskUse,
  isValueUse,
  type EventUse,
  type Plan,
  type TaskUse,
  type Use,
  type ValueUse,
} from './plan'

export interface DrawOptions {
  /** The most chains shown of each group. Default 10. */
  readonly maxChains?: number
  /** The most entries shown of each chain. Default 50. */
  readonly maxEntries?: number
  /** Gives the chains of a page, for a definition that has pages. Without it, their groups are drawn by size alone. */
  readonly page?: (number: number) => readonly Chain[]
}

/** Whatever the options, no picture has more entries than this: groups in groups multiply. */
const MAX_DRAWN = 2_000
/** Where a line of a tree is broken. */
const WIDTH = 100

// What is drawn: a pipeline and a definition look the same.
type Drawn = DrawnBox | DrawnGroup

interface DrawnBox {
  readonly kind: 'task' | 'handler' | 'finally' | 'sleep' | 'event' | 'pause' | 'rest'
  readonly text: string
}

interface DrawnGroup {
  readonly kind: 'group'
  readonly count: number
  readonly title: string
  /** The entries of a chain; undefined if they are not at hand. */
  readonly chain: (index: number) => readonly Drawn[] | undefined
}

/** Draws a pipeline, or its definition, as a tree. */
export function toText(work: object, options: DrawOptions = {}): string {
  const lines: string[] = []
  new TextDrawing(options, lines).chain(drawn(work, options), '', '')
  return lines.join('\n')
}

/** Draws a pipeline, or its definition, as a Mermaid flowchart. */
export function toMermaid(work: object, options: DrawOptions = {}): string {
  return new MermaidDrawing(options).draw(drawn(work, options))
}

// ---- What there is to draw -----------------------------------------------------------------------------------------

function drawn(work: object, options: DrawOptions): readonly Drawn[] {
  if (isPlan(work)) {
    const last = work.whole?.finally
    return last === undefined ? fromPlan(work) : [...fromPlan(work), finallyBox(nameOf(last))]
  }
  const { steps, chain, finally: last } = work as Partial<Definition>
  if (!Array.isArray(steps) || !Array.isArray(chain)) {
    throw new TaskError('TASKS_ARGUMENTS', 'a pipeline or a definition is needed to draw')
  }
  const entries = fromChain(chain as Chain, work as Definition, options)
  return last === undefined ? entries : [...entries, finallyBox(nameOfStep((steps as readonly Step[])[last[0]]!))]
}

function fromPlan(plan: Plan): readonly Drawn[] {
  return entriesOf(plan).flatMap((use) => (isValueUse(use) ? [] : withPause(fromUse(use), pausesAfter(use))))
}

function fromUse(use: Exclude<Use, ValueUse>): Drawn {
  if (isTaskUse(use)) return taskBox(nameOf(use), use.catches === true)
  if (isSleepUse(use)) return sleepBox(use)
  if (isEventUse(use)) return eventBox(use)
  const { returnExceptions, maxParallelism, unordered = false } = use
  if (isEachUse(use)) {
    const title = titleOf('for each', maxParallelism, returnExceptions, unordered)
    return { kind: 'group', count: 1, title, chain: () => fromPlan(use.each) }
  }
  const { chains } = use
  const title = titleOf(inParallel(chains.length), maxParallelism, returnExceptions, unordered)
  return { kind: 'group', count: chains.length, title, chain: (index) => fromPlan(chains[index]!) }
}

const nameOf = ({ task, overrides }: TaskUse): string => overrides?.displayName ?? task.step.displayName ?? task.name

const pausesAfter = (use: Use): boolean => (isTaskUse(use) ? use.overrides?.pauseAfter : use.pauseAfter) === true

function fromChain(chain: Chain, definition: Definition, options: DrawOptions): readonly Drawn[] {
  return chain.flatMap((entry) => {
    if (isValue(entry)) return []
    const pause = isTask(entry) ? definition.steps[entry[0]]!.pauseAfter : entry.pauseAfter
    return withPause(fromEntry(entry, definition, options), pause === 1)
  })
}

function fromEntry(entry: Exclude<Entry, ValueEntry>, definition: Definition, options: DrawOptions): Drawn {
  if (isTask(entry)) {
    const step = definition.steps[entry[0]]!
    return taskBox(nameOfStep(step), step.catch === 1)
  }
  if (isSleep(entry)) return sleepBox(entry)
  if (isEvent(entry)) return eventBox(entry)
  const { returnExceptions, maxParallelism, unordered } = entry
  if (isEach(entry)) {
    const title = titleOf('for each', maxParallelism, returnExceptions === 1, unordered === 1)
    return { kind: 'group', count: 1, title, chain: () => fromChain(entry.each, definition, options) }
  }
  const { page } = options
  return {
    kind: 'group',
    count: entry.group,
    title: titleOf(inParallel(entry.group), maxParallelism, returnExceptions === 1, unordered === 1),
    chain: (index) =>
      entry.chains === undefined && page === undefined
        ? undefined
        : fromChain(childChain(entry, index, page ?? (() => [])), definition, options),
  }
}

const nameOfStep = ({ displayName, task }: Step): string => displayName ?? task

function taskBox(name: string, handles: boolean): DrawnBox {
  return handles ? { kind: 'handler', text: `on error: ${label(name)}` } : { kind: 'task', text: label(name) }
}

const finallyBox = (name: string): DrawnBox => ({ kind: 'finally', text: `finally: ${label(name)}` })

function sleepBox({ sleep, sleepUntil }: { readonly sleep?: number; readonly sleepUntil?: number }): DrawnBox {
  return { kind: 'sleep', text: sleep === undefined ? `sleep until ${time(sleepUntil!)}` : `sleep ${duration(sleep)}` }
}

function eventBox({ event, timeoutMs }: Pick<EventUse, 'event' | 'timeoutMs'>): DrawnBox {
  const limit = timeoutMs === undefined ? '' : `, at most ${duration(timeoutMs)}`
  return { kind: 'event', text: `wait for event: ${label(event)}${limit}` }
}

const withPause = (entry: Drawn, pause: boolean): readonly Drawn[] =>
  pause ? [entry, { kind: 'pause', text: 'pause' }] : [entry]

const inParallel = (count: number): string => `in parallel: ${count === 1 ? '1 chain' : `${grouped(count)} chains`}`

function titleOf(
  what: string,
  maxParallelism: number | undefined,
  returnExceptions: boolean,
  unordered: boolean,
): string {
  const width = maxParallelism === undefined ? '' : `, ${grouped(maxParallelism)} at a time`
  const order = unordered ? ', results as they come' : ''
  return `${what}${width}${order}${returnExceptions ? ', exceptions returned' : ''}`
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const

function duration(ms: number): string {
  let left = ms
  const parts = UNITS.flatMap(([unit, size]) => {
    const count = Math.floor(left / size)
    left -= count * size
    return count === 0 ? [] : [`${count} ${unit}`]
  })
  return parts.join(' ') || '0 ms'
}

// oxlint-disable-next-line no-restricted-globals -- this reads no clock
const time = (ms: number): string => new Date(ms).toISOString()

function label(name: string): string {
  return name.replace(/\p{Cc}+/gu, ' ')
}

function grouped(n: number): string {
  return String(n).replace(/\B(?=(?:\d{3})+$)/g, ',')
}

/** Decides what is left out. */
class Drawing {
  protected readonly maxChains: number
  protected readonly maxEntries: number
  #left = MAX_DRAWN

  constructor({ maxChains = 10, maxEntries = 50 }: DrawOptions) {
    for (const [name, value] of Object.entries({ maxChains, maxEntries })) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new TaskError('TASKS_OPTIONS', `${name} must be an integer of at least 1, not ${String(value)}`)
      }
    }
    this.maxChains = maxChains
    this.maxEntries = maxEntries
  }

  /** The chains of a group that are shown, and how many are not. */
  protected shown(group: DrawnGroup): { readonly chains: readonly (readonly Drawn[])[]; readonly more: number } {
    const chains: (readonly Drawn[])[] = []
    while (chains.length < Math.min(group.count, this.maxChains) && this.#left > 0) {
      const chain = group.chain(chains.length)
      if (chain === undefined) break
      this.#left -= chain.length
      chains.push(chain)
    }
    return { chains, more: group.count - chains.length }
  }

  /** The entries of a chain that are shown; one may say how many are not. What comes at last in any case is shown in any case. */
  protected cut(chain: readonly Drawn[]): readonly Drawn[] {
    const last = chain.slice(chain.at(-1)?.kind === 'finally' ? -1 : chain.length)
    const more = chain.length - last.length - this.maxEntries
    if (more <= 0) return chain
    return [...chain.slice(0, this.maxEntries), { kind: 'rest', text: `… ${grouped(more)} more entries` }, ...last]
  }
}

class TextDrawing extends Drawing {
  readonly #lines: string[]

  constructor(options: DrawOptions, lines: string[]) {
    super(options)
    this.#lines = lines
  }

  /** Draws a chain: its first line begins with `first`, the others with `rest`. */
  chain(chain: readonly Drawn[], first: string, rest: string): void {
    let line = ''
    let start = first
    const flush = (): void => {
      if (line === '') return
      this.#lines.push(start + line)
      line = ''
      start = rest
    }
    for (const [i, entry] of this.cut(chain).entries()) {
      const arrow = i === 0 ? '' : '→ '
      if (entry.kind === 'group') {
        flush()
        this.#lines.push(`${start}${arrow}${entry.title}`)
        start = rest
        this.#group(entry, rest + (i === 0 ? '' : '  '))
        continue
      }
      if (line !== '' && line.length + entry.text.length > WIDTH) flush()
      line += line === '' ? arrow + entry.text : ` → ${entry.text}`
    }
    flush()
  }

  #group(group: DrawnGroup, indent: string): void {
    const { chains, more } = this.shown(group)
    for (const [i, chain] of chains.entries()) {
      const isLast = i === chains.length - 1 && more === 0
      this.chain(chain, `${indent}${isLast ? '└─ ' : '├─ '}`, `${indent}${isLast ? '   ' : '│  '}`)
    }
    if (more > 0) this.#lines.push(`${indent}└─ … ${grouped(more)} more`)
  }
}

const SHAPES = {
  task: ['[', ']'],
  handler: ['[', ']'],
  finally: ['[', ']'],
  sleep: ['([', '])'],
  event: ['([', '])'],
  pause: ['{{', '}}'],
  rest: ['[', ']'],
} as const

class MermaidDrawing extends Drawing {
  readonly #boxes: string[] = []
  // After the boxes: an arrow to a subgraph that is not known yet would make a box of it.
  readonly #arrows: string[] = []
  #ids = 0

  draw(chain: readonly Drawn[]): string {
    this.#chain(chain, '  ')
    return ['flowchart TD', ...this.#boxes, ...this.#arrows].join('\n')
  }

  #chain(chain: readonly Drawn[], indent: string): void {
    // From where a success goes on: the entry before, and the handlers of its errors.
    let before: string[] = []
    for (const entry of this.cut(chain)) {
      const id = entry.kind === 'group' ? this.#group(entry, indent) : this.#box(entry, indent)
      if (entry.kind === 'handler' && before.length > 0) {
        this.#arrows.push(`  ${before.at(-1)!} -. error .-> ${id}`)
        before.push(id)
      } else {
        for (const from of before) this.#arrows.push(`  ${from} --> ${id}`)
        before = [id]
      }
    }
  }

  #box({ kind, text }: DrawnBox, indent: string): string {
    const id = `n${this.#ids++}`
    const [open, close] = SHAPES[kind]
    this.#boxes.push(`${indent}${id}${open}"${escapeMermaid(text)}"${close}`)
    return id
  }

  #group(group: DrawnGroup, indent: string): string {
    const id = `g${this.#ids++}`
    const { chains, more } = this.shown(group)
    this.#boxes.push(`${indent}subgraph ${id}["${escapeMermaid(group.title)}"]`)
    for (const chain of chains) this.#chain(chain, `${indent}  `)
    if (more > 0) this.#box({ kind: 'rest', text: `… ${grouped(more)} more` }, `${indent}  `)
    // Mermaid draws no empty subgraph.
    if (group.count === 0) this.#box({ kind: 'rest', text: 'nothing' }, `${indent}  `)
    this.#boxes.push(`${indent}end`)
    return id
  }
}

// What ends a label, begins Markdown, or is read as HTML. `#35;` is Mermaid's own way to write a character by number.
function escapeMermaid(text: string): string {
  return text.replace(/["#&<>`]/g, (character) => `#${character.charCodeAt(0)};`)
}
