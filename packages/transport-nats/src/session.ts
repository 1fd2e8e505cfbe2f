// Owning a partition: its rows are here, its inbox comes here, its commits are records of its journal.
import type { Bytes, Commit, InboxMessage, PartitionSession, RowKey } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import { Inbox } from './inbox'
import type { JetStream } from './jetstream'
import type { Appended, Journal } from './journal'
import type { Names } from './names'
import type { Outbox } from './outbox'
import type { Row, State } from './record'
import { encodeContent, encodeRecord } from './record'
import { Relay } from './relay'
import type { Restored } from './restore'
import { withRoom } from './room'
import type { Rows } from './rows'

export interface SessionParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly names: Names
  readonly outbox: Outbox
  /** Throws if the commit is over a limit. */
  readonly check: (commit: Commit) => void
}

/** What a claim has made. */
export interface Claimed {
  /** After the record of the claim, which is the last one. */
  readonly state: State
  readonly tail: number
  readonly restoring: Promise<Restored>
  /** Ends the restoring. */
  readonly abandoned: AbortController
}

/** The journal may be so many times as long as its rows, and so many bytes more. */
const LOG_FACTOR = 2
const LOG_ALLOWANCE = 4 * 1024 * 1024
/** What is not needed is purged so much at a time. */
const PURGE_BYTES = 4 * 1024 * 1024
const FAREWELL_MS = 1_000

export class Session implements PartitionSession {
  readonly lost: AbortSignal
  readonly #parts: SessionParts
  readonly #journal: Journal
  readonly #inbox: Inbox
  readonly #relay: Relay
  /** What the journal has of the partition, once it has been read. */
  readonly #ready: Promise<void>
  readonly #abandoned: AbortController
  #rows: Rows | undefined
  #span: Span | undefined
  /** After the last record. */
  #state: State
  /** The sequence of the last record. */
  #tail: number
  #hasCommitted = false
  #over: TaskError | undefined
  readonly #givenBack: TaskError

  constructor(
    parts: SessionParts,
    journal: Journal,
    { state, tail, restoring, abandoned }: Claimed,
    lost: AbortSignal,
  ) {
    this.#parts = parts
    this.#journal = journal
    this.lost = lost
    this.#state = state
    this.#tail = tail
    this.#abandoned = abandoned
    this.#givenBack = new TaskError('TASKS_CLOSED', `partition ${journal.partition} was given back`)
    this.#inbox = new Inbox(parts, journal.partition, state.through, lost)
    this.#relay = new Relay(parts.outbox, parts.clock, state.relayed)
    this.#ready = restoring.then(({ rows, records, unmade }) => {
      this.#rows = rows
      this.#span = new Span(state.floor, records)
      for (const { seq, at, sends } of unmade) this.#relay.add(seq, at, sends)
      this.#relay.reached(state.seq)
    })
    // Whoever reads hears of it.
    this.#ready.catch(() => {})
  }

  get partition(): number {
    return this.#journal.partition
  }

  get claim(): string {
    return this.#state.claim
  }

  get epoch(): number {
    return this.#state.epoch
  }

  get seq(): number {
    return this.#state.seq
  }

  get time(): number {
    return this.#state.time
  }

  async load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]> {
    this.#parts.lifetime.refuseIfOver()
    return (await this.#restored()).load(keys)
  }

  async scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]> {
    this.#parts.lifetime.refuseIfOver()
    return (await this.#restored()).scan(prefix, after, limit)
  }

  async poll(options: {
    readonly max: number
    readonly waitMs: number
    readonly signal?: AbortSignal
  }): Promise<readonly InboxMessage[]> {
    this.#parts.lifetime.refuseIfOver()
    if (this.#over !== undefined) throw fenced(`claim ${this.claim} is over`, this.#over)
    return this.#inbox.poll(options)
  }

  async commit(commit: Commit): Promise<void> {
    this.#parts.lifetime.refuseIfOver()
    if (this.#over !== undefined) throw fenced(`claim ${this.claim} is over`, this.#over)
    this.#parts.check(commit)
    // Sent again: it was applied, and the answer stands.
    if (this.#hasCommitted && commit.seq === this.seq) return
    try {
      if (commit.seq !== this.seq + 1)
        throw fenced(`partition ${this.partition} is at commit ${this.seq}: ${commit.seq} does not follow`)
      await this.#apply(commit)
    } catch (error) {
      this.#end(error as TaskError)
      throw error
    }
    this.#hasCommitted = true
  }

  async #apply({ seq, time, through, rows, sends }: Commit): Promise<void> {
    const restored = this.#rows ?? (await this.#restored())
    await this.#relay.room()
    const state: State = {
      ...this.#state,
      seq,
      time,
      through: through ?? this.#state.through,
      relayed: this.#relay.relayed,
      floor: this.#floor(),
    }
    const written: Row[] = [...rows, ...this.#carried(restored, rows)]
    const record = encodeRecord('commit', state, [encodeContent(written, sends)])
    const appended = await withRoom(this.#parts, this.#journal, this.#state, () =>
      this.#journal.appendCommit(record, state, this.#tail),
    )
    this.#advance(state, appended, record.length)
    restored.add(appended, written)
    this.#relay.add(seq, appended.at, sends)
    if (through !== undefined) this.#inbox.consumed(through)
    // Nobody waits for it.
    if (this.#span!.isWorthPurging(state.floor)) this.#journal.purge(state).catch(() => {})
  }

  /** Gives the partition back: says how far the relay has come, so that the next owner does not make those sends again. */
  async release(): Promise<void> {
    await this.#relay.done(FAREWELL_MS)
    this.#end(this.#givenBack)
    // One that failed may be tried again.
    if (this.#over !== this.#givenBack) return
    const state: State = { ...this.#state, relayed: this.#relay.relayed, floor: this.#floor(), released: true }
    await Promise.all([
      this.#journal.append(encodeRecord('release', state), this.#tail),
      this.#inbox.purge(state.through),
    ])
  }

  async #restored(): Promise<Rows> {
    await this.#ready
    return this.#rows!
  }

  #end(reason: TaskError): void {
    this.#over ??= reason
    this.#inbox.close()
    this.#relay.stop()
    this.#abandoned.abort()
  }

  #advance(state: State, { sequence, at }: Appended, bytes: number): void {
    this.#state = state
    this.#tail = sequence
    this.#span?.add(at, bytes)
  }

  /** The first message that is needed: of the oldest row, or of sends that were not made. Safe to purge to once a record says it. */
  #floor(): number {
    if (this.#rows === undefined) return this.#state.floor
    return Math.min(this.#tail, this.#rows.floor ?? Infinity, this.#relay.floor ?? Infinity)
  }

  /** The oldest rows, so that what is before them can go: as much as the commit itself writes, when the journal is too long for what it holds. */
  #carried(all: Rows, rows: Commit['rows']): (readonly [RowKey, Bytes])[] {
    if (this.#span!.bytes <= LOG_FACTOR * all.bytes + LOG_ALLOWANCE) return []
    let bytes = 4096
    for (const value of rows.values()) bytes += value?.byteLength ?? 0
    return all.oldest(bytes, rows)
  }
}

/** How much of the journal is needed, and how much was but is still there. */
class Span {
  readonly #records: { readonly at: number; readonly bytes: number }[]
  #first = 0
  #bytes = 0
  #unneeded = 0
  #purged: number

  constructor(purged: number, records: { readonly at: number; readonly bytes: number }[]) {
    this.#purged = purged
    this.#records = records
    for (const { bytes } of records) this.#bytes += bytes
  }

  /** From the floor on. */
  get bytes(): number {
    return this.#bytes
  }

  add(at: number, bytes: number): void {
    this.#records.push({ at, bytes })
    this.#bytes += bytes
  }

  /** What is before this floor is not needed any more. Whether it is worth a call. */
  isWorthPurging(floor: number): boolean {
    for (
      let record = this.#records[this.#first];
      record !== undefined && record.at < floor;
      record = this.#records[++this.#first]
    ) {
      this.#bytes -= record.bytes
      this.#unneeded += record.bytes
    }
    if (this.#first > 1024 && this.#first > this.#records.length / 2) {
      this.#records.splice(0, this.#first)
      this.#first = 0
    }
    if (this.#unneeded < PURGE_BYTES || floor <= this.#purged) return false
    this.#purged = floor
    this.#unneeded = 0
    return true
  }
}

function fenced(message: string, cause?: unknown): TaskError {
  return new TaskError('TASKS_FENCED', message, { cause })
}
