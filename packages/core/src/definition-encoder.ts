// A pipeline becomes a definition: checked whole, cut into pages, large arguments put aside as blobs, hashed.
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Codec } from './codec'
import { MAX_DEFINITION_BYTES, type PageRef } from './definition'
import { DEFINITION_VERSION } from './definition-flaws'
import { TaskError } from './errors'
import {
  entriesOf,
  isGroupUse,
  isPlan,
  isEachUse,
  isSleepUse,
  isTaskUse,
  isValueUse,
  MAX_DEPTH,
  MAX_TASKS,
  whatIs,
  type EachUse,
  type GroupUse,
  type ParallelOptions,
  type Plan,
  type SleepUse,
  type StepOptions,
  type TaskRef,
  type TaskUse,
  type Use,
  type ValueUse,
  type Whole,
} from './plan'
import { asBuffer } from './record'
import { DEFAULT_QUEUE } from './task-options'
import { checkLength } from './value'

/** Page 0 may be this many pages long. */
const MAX_PAGE_0 = 8
/** Where a chain does not fit its page, arguments above this many bytes move to blobs, and groups to pages. */
const SPILL_BYTES = 128
/** The smallest pages that can index pages. */
const MIN_PAGE_BYTES = 256

export interface EncodeOptions {
  readonly codec: Codec
  /** Arguments of more bytes than this become blobs. */
  readonly inlineBytes: number
  /** No page but the first is larger than this; the first is at most eight times as large. */
  readonly pageBytes: number
  /** A new name for a blob. */
  readonly blobName: () => string
}

export interface EncodedDefinition {
  /** Page 0 is the document. */
  readonly pages: readonly Uint8Array[]
  /** 32 hexadecimal characters: equal for equal definitions, wherever pages are cut and blobs are put. */
  readonly hash: string
  /** How many task entries there are: those of a template once, and the one of `finally`. */
  readonly taskCount: number
  /** To be stored under their names before the definition is used. */
  readonly blobs: readonly { readonly name: string; readonly bytes: Uint8Array }[]
}

/**
 * Encodes a pipeline whole, so that nothing need be stored of one that is refused.
 * @throws TaskError TASKS_DEFINITION_TOO_LARGE naming the limit and what was found; TASKS_ARGUMENTS if it is not a pipeline;
 * TASKS_DEFINITION_INVALID if two entries have one task id; and what the codec throws, naming the task
 */
export function encodeDefinition(pipeline: object, options: EncodeOptions): EncodedDefinition {
  if (!isPlan(pipeline)) {
    throw new TaskError('TASKS_ARGUMENTS', `a pipeline is needed here, like task.send(...), not ${whatIs(pipeline)}`)
  }
  const taskCount = pipeline.tasks + (pipeline.whole?.finally === undefined ? 0 : 1)
  if (taskCount > MAX_TASKS) throw tooLarge(`has ${taskCount} task entries`, `${MAX_TASKS}`)
  if (pipeline.depth > MAX_DEPTH) throw tooLarge(`nests groups ${pipeline.depth} deep`, `${MAX_DEPTH}`)
  const encoder = new Encoder(options)
  return { ...encoder.encode(pipeline), taskCount }
}

function tooLarge(what: string, limit: string): TaskError {
  return new TaskError(
    'TASKS_DEFINITION_TOO_LARGE',
    `the pipeline ${what}; at most ${limit} are allowed. Let a task return part of the work as a pipeline, or pass a reference instead of data`,
  )
}

/** Characters. What waits for longer outlives a collection of garbage, piece by piece. */
const HASH_CHUNK = 1 << 13

class Encoder {
  readonly #options: EncodeOptions
  readonly #pages: string[] = ['']
  readonly #blobs: { name: string; bytes: Uint8Array }[] = []
  #bytes = 0
  /** Of the last chain that was fitted. */
  #fittedBytes = 0

  readonly #steps: string[] = []
  readonly #stepByText = new Map<string, number>()
  /** How an entry of a step with arguments begins. */
  readonly #heads: string[] = []
  // Two objects often mean the same step; one object always does.
  readonly #stepByUse = new Map<
    TaskRef,
    Map<StepOptions | undefined, [closed: number, open: number, catches: number]>
  >()
  readonly #taskIds = new Set<string>()
  /** Inside how many templates. */
  #each = 0

  // Entries in order, with their arguments, whatever becomes of them: so the hash does not depend on the transport.
  readonly #hash = createHash('sha256')
  #unhashed = ''
  #hashing = true

  constructor(options: EncodeOptions) {
    if (!(options.pageBytes >= MIN_PAGE_BYTES)) {
      throw new TaskError('TASKS_OPTIONS', `pageBytes must be at least ${MIN_PAGE_BYTES}, not ${options.pageBytes}`)
    }
    this.#options = options
  }

  encode(plan: Plan): Omit<EncodedDefinition, 'taskCount'> {
    const limit = this.#options.pageBytes * MAX_PAGE_0
    const whole = this.#whole(plan.whole)
    const wholeBytes = Buffer.byteLength(whole)
    if (wholeBytes > limit) throw tooLarge(`begins with ${wholeBytes} bytes of state and arguments`, `${limit}`)
    const chain = this.#fitted(plan, false, limit - wholeBytes, 'the first page')
    const steps = `[${this.#steps.join()}]`
    this.#mix(steps)
    this.#pages[0] = `{"v":${DEFINITION_VERSION},"steps":${steps},"chain":${chain}${whole}}`
    const bytes = Buffer.byteLength(this.#pages[0])
    if (bytes > limit) throw tooLarge(`has a first page of ${bytes} bytes`, `${limit}`)
    this.#count(bytes)
    return {
      pages: this.#pages.map((page) => Buffer.from(page)),
      hash: this.#hash.update(this.#unhashed).digest('hex').slice(0, 32),
      blobs: this.#blobs,
    }
  }

  #whole({ input, state, inline, finally: last }: Whole = {}): string {
    const { inlineBytes, pageBytes } = this.#options
    const most = Math.min(inlineBytes, pageBytes / 2)
    let text = ''
    const add = (key: string, value: () => string): void => {
      this.#mix(`"${key}"`)
      text += `,"${key}":${value()}`
    }
    if (input !== undefined && input.length > 0) add('input', () => this.#data(input, 'the initial arguments', most))
    if (state !== undefined) {
      const values = Object.entries(state).map(([key, value]) => {
        this.#mix(JSON.stringify(key))
        const data = this.#data(value, `the initial state's "${key}"`, Infinity)
        return `${JSON.stringify(key)}:${data}`
      })
      add('state', () => `{${values.join()}}`)
    }
    if (inline) add('inline', () => '1')
    if (last !== undefined) add('finally', () => this.#task(last, most))
    return text
  }

  /** A chain of at most `limit` bytes: if it is larger, it is made `tight`. */
  #fitted(plan: Plan, tight: boolean, limit: number, where: string): string {
    const before = { pages: this.#pages.length, blobs: this.#blobs.length, bytes: this.#bytes, hashing: this.#hashing }
    let text = this.#chain(plan, tight)
    let bytes = Buffer.byteLength(text)
    if (bytes > limit && !tight) {
      this.#pages.length = before.pages
      this.#blobs.length = before.blobs
      this.#bytes = before.bytes
      // It is the same chain: it has been hashed.
      this.#hashing = false
      text = this.#chain(plan, true)
      this.#hashing = before.hashing
      bytes = Buffer.byteLength(text)
    }
    if (bytes > limit)
      throw tooLarge(`has a chain of ${plan.length} entries that takes ${bytes} bytes in ${where}`, `${limit}`)
    this.#fittedBytes = bytes
    return text
  }

  #chain(plan: Plan, tight: boolean): string {
    const { use, before } = plan
    const most = this.#most(tight)
    // Most chains of large groups.
    if (before === undefined && isTaskUse(use)) return `[${this.#task(use, most, true)}]`
    let text = '['
    this.#mix('[')
    for (const use of entriesOf(plan)) {
      if (text.length > 1) text += ','
      text += isTaskUse(use) ? this.#task(use, most) : this.#structure(use, tight)
      if (text.length > MAX_DEFINITION_BYTES)
        throw tooLarge(`takes more than ${MAX_DEFINITION_BYTES} bytes`, `${MAX_DEFINITION_BYTES}`)
    }
    this.#mix(']')
    return `${text}]`
  }

  #structure(use: Exclude<Use, TaskUse>, tight: boolean): string {
    if (isGroupUse(use)) return this.#group(use, tight)
    if (isEachUse(use)) return this.#eachOf(use, tight)
    if (isValueUse(use)) return this.#valueOf(use, tight)
    return this.#plain(
      isSleepUse(use) ? sleepEntry(use) : { ...use, pipeline: oneIf(use.pipeline), pauseAfter: oneIf(use.pauseAfter) },
    )
  }

  #valueOf({ value }: ValueUse, tight: boolean): string {
    this.#mix('{"value"')
    return `{"value":${this.#data(value, 'an element of a fan-out', this.#most(tight))}}`
  }

  /** Arguments of more bytes become blobs. */
  #most(tight: boolean): number {
    const { inlineBytes } = this.#options
    return tight ? Math.min(SPILL_BYTES, inlineBytes) : inlineBytes
  }

  #plain(entry: object): string {
    const text = JSON.stringify(entry)
    this.#mix(text)
    return text
  }

  #eachOf(use: EachUse, tight: boolean): string {
    const options = parallel(use)
    this.#mix(`{"each"${options}`)
    this.#each++
    const chain = this.#chain(use.each, tight)
    this.#each--
    this.#mix('}')
    return `{"each":${chain}${options}}`
  }

  #group(use: GroupUse, tight: boolean): string {
    const { pageBytes } = this.#options
    const { chains } = use
    if (chains.length > MAX_TASKS) throw tooLarge(`has a group of ${chains.length} chains`, `${MAX_TASKS}`)
    const inlineBytes = tight ? SPILL_BYTES : pageBytes / 2
    const size = `"group":${chains.length}`
    const options = parallel(use)
    this.#mix(`{${size}${options}`)
    let list: PageRef[] = []
    let first = 0
    // As a list: text that grows by text is a tree of its pieces, which outlive a collection of garbage.
    let chunk: string[] = []
    let chunkBytes = 0
    const flush = (next: number): void => {
      this.#count(chunkBytes + 2)
      list.push([this.#pages.length, first])
      this.#pages.push(`[${chunk.join()}]`)
      first = next
      chunk = []
      chunkBytes = 0
    }
    for (let i = 0; i < chains.length; i++) {
      // Pages of groups inside come first, so that a page names lower ones only: a definition cannot contain itself.
      const text = this.#fitted(chains[i]!, tight, pageBytes - 2, 'a page')
      const bytes = this.#fittedBytes
      if (chunk.length > 0 && chunkBytes + bytes + 3 > pageBytes) flush(i)
      chunk.push(text)
      chunkBytes += bytes + 1
    }
    this.#mix('}')
    if (list.length === 0 && chunkBytes <= inlineBytes) return `{${size},"chains":[${chunk.join()}]${options}}`
    flush(chains.length)
    let key = 'pages'
    while (list.length > 1 && JSON.stringify(list).length > inlineBytes) {
      list = this.#index(list, chains.length, key)
      key = 'index'
    }
    return `{${size},"${key}":${JSON.stringify(list)}${options}}`
  }

  /** Moves a list of pages into pages. */
  #index(list: readonly PageRef[], chains: number, key: string): PageRef[] {
    const index: PageRef[] = []
    let part: PageRef[] = []
    let bytes = 0
    const flush = (next: number): void => {
      const first = part[0]![1]
      const parts = part.map(([page, at]) => [page, at - first])
      const text = `[[{"group":${next - first},"${key}":${JSON.stringify(parts)}}]]`
      this.#count(text.length)
      index.push([this.#pages.length, first])
      this.#pages.push(text)
      part = []
      bytes = 0
    }
    for (const ref of list) {
      const length = JSON.stringify(ref).length + 1
      if (bytes + length + 64 > this.#options.pageBytes) flush(ref[1])
      part.push(ref)
      bytes += length
    }
    flush(chains)
    return index
  }

  /**
   * @param most arguments of more bytes become blobs
   * @param isChain it is all of a chain, whose brackets are hashed with it: one piece of text costs less than three
   */
  #task(use: TaskUse, most: number, isChain = false): string {
    const { task, args, overrides } = use
    const step = this.#step(use)
    if (overrides?.taskId !== undefined) this.#claim(overrides.taskId, task.name)
    if (args.length === 0) {
      this.#mix(isChain ? `[${step};]` : `${step};`)
      return `[${step}]`
    }
    const largest = task.step.largeArguments === false ? this.#options.inlineBytes : Infinity
    const head = (this.#heads[step] ??= `[${step},`)
    const data = this.#data(args, task, most, largest, isChain ? head : `${step},`, isChain ? ']' : '')
    return `${head}${data}]`
  }

  /**
   * @param what its name in an error; of a task, the arguments
   * @param most of more bytes it becomes a blob
   * @param largest of more it is refused
   * @param before hashed before it, and `behind` behind it
   */
  #data(value: unknown, what: string | TaskRef, most: number, largest = Infinity, before = '', behind = ''): string {
    const { codec } = this.#options
    let text: string | undefined
    let bytes: Uint8Array | undefined
    try {
      if (codec.encodeText !== undefined) text = codec.encodeText(value)
      else bytes = codec.encode(value)
    } catch (cause) {
      throw unencodable(what, cause)
    }
    const length = bytes?.length ?? Buffer.byteLength(text!)
    // Only an error needs the name.
    if (length > largest) checkLength(nameOf(what), length, largest)
    if (bytes !== undefined && codec.text && length <= most) text = asBuffer(bytes).toString()
    if (text !== undefined) {
      this.#mix(`${before}${length}:${text}${behind}`)
      return length <= most ? JSON.stringify(text) : this.#apart(Buffer.from(text))
    }
    this.#mix(`${before}${length}:`)
    this.#mixBytes(bytes!)
    this.#mix(behind)
    return length <= most ? `{"b64":"${asBuffer(bytes!).toString('base64')}"}` : this.#apart(bytes!)
  }

  #apart(bytes: Uint8Array): string {
    const name = this.#options.blobName()
    this.#blobs.push({ name, bytes })
    return `{"ref":[${JSON.stringify(name)},${bytes.length},${crc32(bytes)}]}`
  }

  #claim(taskId: string, task: string): void {
    // A chain that is made tight is the same chain.
    if (!this.#hashing) return
    const why = this.#taskIds.has(taskId)
      ? 'is given to two entries; it must be unique in its pipeline'
      : this.#each > 0
        ? 'is given inside a fan-out, which runs the entry many times'
        : undefined
    if (why !== undefined)
      throw new TaskError('TASKS_DEFINITION_INVALID', `the task id "${taskId}" of task "${task}" ${why}`)
    this.#taskIds.add(taskId)
  }

  #step({ task, open, catches, overrides }: TaskUse): number {
    let uses = this.#stepByUse.get(task)
    if (uses === undefined) this.#stepByUse.set(task, (uses = new Map()))
    let known = uses.get(overrides)
    if (known === undefined) uses.set(overrides, (known = [-1, -1, -1]))
    const kind = catches ? 2 : open ? 1 : 0
    const index = known[kind]
    if (index >= 0) return index
    const { queue, retry, timeoutMs, priority, displayName, taskId, pauseAfter, checkpoint } = {
      ...task.step,
      ...overrides,
    }
    // JSON.stringify leaves out what is undefined; the order of the keys is part of the hash.
    const text = JSON.stringify({
      task: task.name,
      open: open ? 1 : undefined,
      catch: catches ? 1 : undefined,
      queue: queue === DEFAULT_QUEUE ? undefined : queue,
      retry,
      timeoutMs,
      priority: priority === 0 ? undefined : priority,
      displayName,
      taskId,
      pauseAfter: pauseAfter ? 1 : undefined,
      checkpoint: checkpoint === false ? 0 : undefined,
    })
    const step = this.#stepByText.get(text) ?? this.#steps.push(text) - 1
    this.#stepByText.set(text, step)
    known[kind] = step
    return step
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > MAX_DEFINITION_BYTES)
      throw tooLarge(`takes more than ${MAX_DEFINITION_BYTES} bytes`, `${MAX_DEFINITION_BYTES}`)
  }

  #mix(text: string): void {
    if (!this.#hashing) return
    this.#unhashed += text
    if (this.#unhashed.length < HASH_CHUNK) return
    this.#hash.update(this.#unhashed)
    this.#unhashed = ''
  }

  #mixBytes(bytes: Uint8Array): void {
    if (!this.#hashing) return
    this.#hash.update(this.#unhashed).update(bytes)
    this.#unhashed = ''
  }
}

function parallel({ returnExceptions, maxParallelism, unordered, pauseAfter }: ParallelOptions): string {
  let text = ''
  if (returnExceptions) text += ',"returnExceptions":1'
  if (maxParallelism !== undefined) text += `,"maxParallelism":${maxParallelism}`
  if (unordered) text += ',"unordered":1'
  if (pauseAfter) text += ',"pauseAfter":1'
  return text
}

const nameOf = (what: string | TaskRef): string =>
  typeof what === 'string' ? what : `the arguments of task "${what.name}"`

function unencodable(what: string | TaskRef, cause: unknown): unknown {
  if (!TaskError.is(cause)) return cause
  const details = cause.details === undefined ? {} : { details: cause.details }
  return new TaskError(cause.code, `${nameOf(what)} (as $): ${cause.message}`, { cause, ...details })
}

const oneIf = (flag: true | undefined): 1 | undefined => (flag === true ? 1 : undefined)

const sleepEntry = ({ sleep, sleepUntil, pauseAfter }: SleepUse): object => ({
  sleep,
  sleepUntil,
  pauseAfter: oneIf(pauseAfter),
})
