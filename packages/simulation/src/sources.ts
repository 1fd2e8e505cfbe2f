// What listeners poll for: sources of events that are not ours, each with one event after the other, the next when the one before it is acknowledged; and what
// must be true of who asks them. What a pipeline comes to by what it was given is the oracle's to say.
//
// H1  what a source has given is acknowledged only once a commit has it     H2  what a commit has is not asked for again
// H3  what a commit has is acknowledged in the end; before anything goes on, see check.ts
import { taskContext, type Send } from '@tasks/core'
import { sleep } from '@tasks/core/adapter'
import { firstRun } from '@tasks/core/src/engine/row-keys'
import { decodeTask } from '@tasks/core/src/wire/task-message'
import { eventOf, type ListenUnit } from '@tasks/oracle'
import type { Bytes, RowKey } from '@tasks/core'
import type { History } from './history'
import type { Journal } from './journal'
import { LISTENER } from './pipelines'
import type { Process } from './process'

/** Whom a poll, and what follows it, is for. */
export const LISTENER_QUEUES = [`listen:${LISTENER}`, `heard:${LISTENER}`] as const

type SourceEvent = ReturnType<typeof eventOf>
type Place = Pick<Process, 'name' | 'clock' | 'dead'>

/** How long a source takes to answer. */
const ANSWER_MS = 20
/** How often who waits for what has not come looks again. */
const LOOK_MS = 5_000

/** What a source has given. */
interface Given {
  /** As it stands in a row. */
  readonly text: string
  /** Of the pipeline, when it was given first. */
  readonly run: string
  readonly isRace: boolean
  /** The entries that were given it. */
  readonly to: Set<string>
  /** A commit has it. */
  isHeld: boolean
  /** Acknowledged before that. */
  isEarly: boolean
  isAcknowledged: boolean
}

/** Each run of a pipeline that is not the retry of another has its own. */
interface Source {
  readonly fails: number
  next: number
  /** Nobody has asked for more than so many. */
  most: number
  readonly dueAt: Map<number, number>
  readonly given: Map<number, Given>
}

export class Sources {
  readonly #history: History
  readonly #calm: boolean
  readonly #broken: (text: string) => void
  readonly #sources = new Map<string, Source>()
  /** What is in no commit, as far as is known. */
  readonly #loose = new Set<Given>()
  /** Entries whose event is in a commit. */
  readonly #over = new Set<string>()
  readonly #asked = new Set<string>()

  constructor(history: History, calm: boolean, broken: (text: string) => void) {
    this.#history = history
    this.#calm = calm
    this.#broken = broken
  }

  /** `pollForEvent` of the listener. */
  async poll(process: Place, unit: ListenUnit, signal: AbortSignal): Promise<SourceEvent> {
    if (process.dead) return never()
    const { rootId, run, attempt, idempotencyKey: entry } = taskContext()
    const source = this.#sourceOf(rootId, run, unit)
    this.#history.note(process.name, `asks ${unit.key} for ${entry}, attempt ${attempt}`)
    const name = `${entry} ${attempt}`
    if (this.#calm && this.#asked.has(name)) this.#broken(`H2: ${unit.key} is asked twice for ${name}`)
    this.#asked.add(name)
    await sleep(process.clock, ANSWER_MS, signal)
    if (!signal.aborted && attempt <= source.fails) throw new Error(`${unit.key} does not answer`)
    for (;;) {
      if (signal.aborted) throw signal.reason
      const waitMs = unit.timeoutMs === undefined ? this.#untilNext(source, unit) : Infinity
      if (waitMs <= 0) break
      await sleep(process.clock, Math.min(waitMs, LOOK_MS), signal)
    }
    return this.#give(process, source, unit, { entry, run })
  }

  /** `eventCheckpointed` of the listener. */
  async acknowledge(process: Place, { key, number }: SourceEvent): Promise<void> {
    if (process.dead) return never()
    const { rootId: id, run, attempt } = taskContext()
    const source = this.#sources.get(sourceName(id, run, key))
    const given = source?.given.get(number)
    if (source === undefined || given === undefined)
      return this.#broken(`H1: number ${number} of ${key} is acknowledged for ${id}, and was not given`)
    if (!given.isHeld) given.isEarly = true
    await sleep(process.clock, ANSWER_MS)
    if (attempt <= source.fails) throw new Error(`${key} does not answer`)
    given.isAcknowledged = true
    source.next = Math.max(source.next, number + 1)
    this.#history.add(process.name, { what: 'acknowledged', of: `${sourceName(id, run, key)} ${number}` })
  }

  /** The store has taken this. */
  commit(rows: ReadonlyMap<RowKey, Bytes | null>, sends: readonly Send[]): void {
    if (this.#sources.size === 0) return
    for (const { target, id: messageId, body } of sends) {
      if (target.to !== 'task' || target.queue !== LISTENER_QUEUES[0]) continue
      const { id, run, path } = decodeTask(body, messageId)
      if (this.#over.has(`${id}:${run}:${path}`))
        this.#broken(`H2: ${id}${path} is sent to be asked for again, and a commit has its event`)
    }
    for (const given of this.#loose) if (isIn(rows, given.text)) this.#hold(given)
  }

  /** By the end. Of what was waited for no longer than so long, and of what was cancelled, it may have been dropped after all. */
  *left(journal: Pick<Journal, 'hasEndedByItself'>): Generator<string> {
    for (const [name, { given }] of this.#sources)
      for (const { text, run, isRace, isHeld, isEarly, isAcknowledged } of given.values()) {
        if (!journal.hasEndedByItself(run)) continue
        // A commit that takes it may be the one that ends its run for a restart: then no row has it (seed 17841).
        if (isEarly) yield `H1: ${text} of ${name} was acknowledged before a commit had it`
        if (isHeld && !isAcknowledged && !isRace)
          yield `H3: ${text} of ${name} is part of a run that has ended, and was never acknowledged`
      }
  }

  #sourceOf(id: string, run: string, { key, number, fails = 0 }: ListenUnit): Source {
    const name = sourceName(id, run, key)
    let source = this.#sources.get(name)
    if (source === undefined) {
      source = { fails, next: number, most: number, dueAt: new Map(), given: new Map() }
      this.#sources.set(name, source)
    }
    source.most = Math.max(source.most, number)
    return source
  }

  #untilNext(source: Source, { afterMs }: ListenUnit): number {
    const { next, most, dueAt } = source
    if (next > most) return Infinity
    const at = dueAt.get(next) ?? this.#history.now + afterMs
    dueAt.set(next, at)
    return at - this.#history.now
  }

  #give(process: Place, source: Source, unit: ListenUnit, to: { entry: string; run: string }): SourceEvent {
    const event = eventOf({ key: unit.key, match: source.next })
    let given = source.given.get(source.next)
    if (given === undefined) {
      given = {
        text: JSON.stringify(event),
        run: to.run,
        isRace: unit.raceMs !== undefined,
        to: new Set(),
        isHeld: false,
        isEarly: false,
        isAcknowledged: false,
      }
      source.given.set(source.next, given)
      this.#loose.add(given)
    }
    // What is delivered again, long after, may ask for an entry that has its own already: nobody wants what it gets.
    const isLate = this.#over.has(to.entry)
    if (given.isHeld && !given.isRace && !isLate && !given.to.has(to.entry))
      this.#broken(`H2: ${given.text} is given to ${to.entry}, and a commit has it already`)
    given.to.add(to.entry)
    this.#history.note(process.name, `is given ${given.text} for ${to.entry}`)
    return event
  }

  #hold(given: Given): void {
    given.isHeld = true
    this.#loose.delete(given)
    // Who gives what would have come in time has it in a row, too.
    if (!given.isRace) for (const entry of given.to) this.#over.add(entry)
  }
}

/** As it is named in what is recorded, too. */
export const sourceName = (id: string, run: string, key: string): string => `${id}:${firstRun(run)}:${key}`

const never = (): Promise<never> => new Promise(() => undefined)

function isIn(rows: ReadonlyMap<RowKey, Bytes | null>, text: string): boolean {
  for (const bytes of rows.values())
    if (bytes !== null && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(text)) return true
  return false
}
