// Pictures of a pipeline: a tree for terminals, and a Mermaid flowchart. Large ones are cut, and say by how much.
import { childChain, isEach, isGroup, isTask, type Chain, type Definition, type Entry } from './definition'
import { TaskError } from './errors'
import { entriesOf, isEachUse, isGroupUse, isPlan, isTaskUse, type Plan, type Use } from './plan'

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
type Drawn = string | DrawnGroup

interface DrawnGroup {
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
  if (isPlan(work)) return fromPlan(work)
  const { steps, chain } = work as Partial<Definition>
  if (!Array.isArray(steps) || !Array.isArray(chain)) {
    throw new TaskError('TASKS_ARGUMENTS', 'a pipeline or a definition is needed to draw')
  }
  return fromChain(chain as Chain, work as Definition, options)
}

function fromPlan(plan: Plan): readonly Drawn[] {
  return entriesOf(plan).map((use: Use) => {
    if (isTaskUse(use)) return label(use.overrides?.displayName ?? use.task.step.displayName ?? use.task.name)
    if (isEachUse(use)) return { count: 1, title: 'for each', chain: () => fromPlan(use.each) }
    if (!isGroupUse(use)) return 'sleep'
    const { chains, maxParallelism, returnExceptions } = use
    return {
      count: chains.length,
      title: title(chains.length, maxParallelism, returnExceptions),
      chain: (index: number) => fromPlan(chains[index]!),
    }
  })
}

function fromChain(chain: Chain, definition: Definition, options: DrawOptions): readonly Drawn[] {
  return chain.map((entry: Entry) => {
    if (!isGroup(entry)) {
      if (isEach(entry)) return { count: 1, title: 'for each', chain: () => fromChain(entry.each, definition, options) }
      if (!isTask(entry)) return 'sleep'
      const step = definition.steps[entry[0]]!
      return label(step.displayName ?? step.task)
    }
    const { page } = options
    return {
      count: entry.group,
      title: title(entry.group, entry.maxParallelism, entry.returnExceptions === 1),
      chain: (index: number) =>
        entry.chains === undefined && page === undefined
          ? undefined
          : fromChain(childChain(entry, index, page ?? (() => [])), definition, options),
    }
  })
}

function title(count: number, maxParallelism: number | undefined, returnExceptions: boolean): string {
  const chains = count === 1 ? '1 chain' : `${grouped(count)} chains`
  const width = maxParallelism === undefined ? '' : `, ${grouped(maxParallelism)} at a time`
  return `in parallel: ${chains}${width}${returnExceptions ? ', exceptions returned' : ''}`
}

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

  /** The entries of a chain that are shown; the last may say how many are not. */
  protected cut(chain: readonly Drawn[]): readonly Drawn[] {
    const more = chain.length - this.maxEntries
    return more <= 0 ? chain : [...chain.slice(0, this.maxEntries), `… ${grouped(more)} more entries`]
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
      if (typeof entry !== 'string') {
        flush()
        this.#lines.push(`${start}${arrow}${entry.title}`)
        start = rest
        this.#group(entry, rest + (i === 0 ? '' : '  '))
        continue
      }
      if (line !== '' && line.length + entry.length > WIDTH) flush()
      line += line === '' ? arrow + entry : ` → ${entry}`
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
    let before: string | undefined
    for (const entry of this.cut(chain)) {
      const id = typeof entry === 'string' ? this.#box(entry, indent) : this.#group(entry, indent)
      if (before !== undefined) this.#arrows.push(`  ${before} --> ${id}`)
      before = id
    }
  }

  #box(text: string, indent: string): string {
    const id = `n${this.#ids++}`
    this.#boxes.push(`${indent}${id}["${escapeMermaid(text)}"]`)
    return id
  }

  #group(group: DrawnGroup, indent: string): string {
    const id = `g${this.#ids++}`
    const { chains, more } = this.shown(group)
    this.#boxes.push(`${indent}subgraph ${id}["${escapeMermaid(group.title)}"]`)
    for (const chain of chains) this.#chain(chain, `${indent}  `)
    if (more > 0) this.#box(`… ${grouped(more)} more`, `${indent}  `)
    // Mermaid draws no empty subgraph.
    if (group.count === 0) this.#box('nothing', `${indent}  `)
    this.#boxes.push(`${indent}end`)
    return id
  }
}

// What ends a label, begins Markdown, or is read as HTML. `#35;` is Mermaid's own way to write a character by number.
function escapeMermaid(text: string): string {
  return text.replace(/["#&<>`]/g, (character) => `#${character.charCodeAt(0)};`)
}
