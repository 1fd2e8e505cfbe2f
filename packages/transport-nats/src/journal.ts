// A partition's journal: records on one subject, each accepted only if it follows the last that its writer knows of. That is the fence.
import type { Clock } from '@tasks/core/adapter'
import { sleep, TaskError } from '@tasks/core/adapter'
import { ERROR, isClosed, isFenced, isForbidden, isPassing, isRefusal, refused, Refusal, unavailable } from './failure'
import type { JetStream, Sought, Stored } from './jetstream'
import type { Names } from './names'
import type { DecodedRecord, Seal, State } from './record'
import { decodeRecord, encodeRecord, HEAD_BYTES } from './record'
import type { Place } from './rows'

const RETRY_MS = 50
/** Headers count as payload. */
const HEADERS_BYTES = 512

export interface JournalParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly names: Names
  /** How long it is tried to learn what became of a record. */
  readonly patienceMs: number
}

/** What was stored last. */
interface Written {
  readonly sequence: number
  /** Its first bytes, the checksum among them. */
  readonly head: Buffer
  /** Over which connection it was seen there. */
  connection: number
}

export interface Appended extends Place {
  /** Of the message that makes it effective. */
  readonly sequence: number
}

export class Journal {
  readonly partition: number
  readonly #parts: JournalParts
  #last: Written | undefined

  constructor(parts: JournalParts, partition: number) {
    this.#parts = parts
    this.partition = partition
  }

  get #subject(): string {
    return this.#parts.names.log(this.partition, 'record')
  }

  get #stream(): string {
    return this.#parts.names.streams.log
  }

  get where(): string {
    return `the journal of partition ${this.partition}`
  }

  /** The last record; undefined if there is none. */
  async tail(): Promise<(DecodedRecord & { readonly sequence: number }) | undefined> {
    const found = (await this.#find({ last_by_subj: this.#subject })) ?? (await this.#forgottenLast())
    if (found === undefined) return undefined
    return { ...decodeRecord(found.data, `record ${found.sequence} of ${this.where}`), sequence: found.sequence }
  }

  /**
   * Appends a record behind the one with sequence `expected`, and finds out whether it did.
   * @throws TaskError TASKS_FENCED: it did not, somebody else has written; TASKS_UNAVAILABLE: not known
   */
  async append(record: Buffer, expected: number): Promise<Appended> {
    const sequence = await this.#append(record, expected)
    return { sequence, at: sequence }
  }

  /** The same, of a commit that may be too large for one message: then its parts go first, and count for nothing until the last record names them. */
  async appendCommit(record: Buffer, state: State, expected: number): Promise<Appended> {
    const { jetstream, names } = this.#parts
    const most = jetstream.connection.info.max_payload - HEADERS_BYTES
    if (record.length <= most) return this.append(record, expected)
    const subject = names.log(this.partition, 'part')
    const slices = Array.from({ length: Math.ceil(record.length / most) }, (_, i) =>
      record.subarray(i * most, (i + 1) * most),
    )
    const parts = await Promise.all(
      // One that is stored twice is a part of nothing.
      slices.map((slice) => jetstream.connection.insist(subject, true, () => jetstream.store(subject, slice))),
    )
    const seal: Seal = { ...state, parts }
    const sequence = await this.#append(encodeRecord('seal', seal), expected)
    return { sequence, at: Math.min(...parts), parts }
  }

  /** The content of a record that its owner needs: nobody else purges it. */
  async content({ at, parts = [at] }: Place): Promise<Buffer> {
    const messages = await Promise.all(parts.map((seq) => this.#parts.jetstream.findDirect(this.#stream, { seq })))
    const found = messages.filter((message) => message !== undefined)
    if (found.length < parts.length) throw this.#fenced()
    return decodeRecord(Buffer.concat(found), `record ${at} of ${this.where}`).content
  }

  /**
   * What is before the floor of a record that was acknowledged is not needed any more. No other floor will do: whoever comes next reads from the one that the last record says, maybe while
   * this is still on its way.
   */
  async purge({ floor }: State): Promise<void> {
    const { jetstream, names } = this.#parts
    await jetstream.purgeBefore(this.#stream, names.log(this.partition, '*'), floor)
  }

  async #append(record: Buffer, expected: number): Promise<number> {
    const { jetstream, clock, patienceMs } = this.#parts
    const until = clock.monotonic() + patienceMs
    // Whether an earlier try may have been stored, or may still be on its way.
    let isUnknown = false
    let fence = expected
    for (;;) {
      try {
        if (this.#isElsewhere) await this.#checkLast(isUnknown)
        return this.#written(record, await jetstream.store(this.#subject, record, fence))
      } catch (error) {
        if (isClosed(error)) throw error
        if (isRefusal(error, ERROR.wrongLastSequence)) {
          if (!isUnknown) {
            if (fence === 0 || !(await this.#isForgotten(expected))) throw this.#fenced()
            // What the server takes to be the last. Of several who see that one is first, and then there is a last again.
            fence = 0
            continue
          }
          return this.#written(record, await this.#settle(record, expected))
        }
        if (isFenced(error)) throw error
        const isOver = clock.monotonic() >= until
        if (error instanceof Refusal) {
          if (isOver || !isPassing(error)) throw isUnknown ? this.#unknown(error) : refused(error, this.where)
        } else {
          if (isForbidden(error)) throw error
          isUnknown ||= (error as TaskError).details?.['applied'] !== 'no'
          if (isOver) throw isUnknown ? this.#unknown(error) : error
        }
        // By now somebody else may have been first, and the last record be forgotten again.
        fence = expected
        // The same record behind the same one: if the first is still on its way, one of both is refused.
        await sleep(clock, RETRY_MS)
      }
    }
  }

  #find(what: Sought): Promise<Stored | undefined> {
    return this.#parts.jetstream.find(this.#stream, what)
  }

  /**
   * A message that it has no room for nats-server stores and removes again, and 2.9 then knows no last one of the subject any more, though the others are there. For a new journal it must not be
   * taken: the partition would begin anew.
   */
  async #forgottenLast(): Promise<Stored | undefined> {
    let last: Stored | undefined
    for (let seq = 1; ; seq = last.sequence + 1) {
      const next = await this.#find({ next_by_subj: this.#subject, seq })
      if (next === undefined) return last
      last = next
    }
  }

  /** Whether this record is still the last, and the server does not know it. */
  async #isForgotten(expected: number): Promise<boolean> {
    if (expected === 0 || (await this.#find({ last_by_subj: this.#subject })) !== undefined) return false
    const [record, after] = await Promise.all([
      this.#find({ seq: expected }),
      this.#find({ next_by_subj: this.#subject, seq: expected + 1 }),
    ])
    return record?.subject === this.#subject && after === undefined
  }

  #written(record: Buffer, sequence: number): number {
    const { number } = this.#parts.jetstream.connection
    this.#last = { sequence, head: Buffer.from(record.subarray(0, HEAD_BYTES)), connection: number }
    return sequence
  }

  /** The server may be another one than that which has stored the last record, or the same after a power cut. */
  get #isElsewhere(): boolean {
    const { connection } = this.#parts.jetstream
    return this.#last !== undefined && !(connection.isConnected && connection.number === this.#last.connection)
  }

  /** The fence compares numbers, and a server that has lost its end gives them out again: so the last record must be there, and be this one. */
  async #checkLast(isUnknown: boolean): Promise<void> {
    const { jetstream } = this.#parts
    const last = this.#last!
    while (this.#isElsewhere) {
      const { number } = jetstream.connection
      const found = await jetstream.find(this.#stream, { seq: last.sequence })
      if (found === undefined || !last.head.equals(found.data.subarray(0, HEAD_BYTES)))
        throw isUnknown ? this.#unknown() : this.#fenced()
      last.connection = number
    }
  }

  /** Something follows the expected record: this one, from an earlier try, or somebody else's. */
  async #settle(record: Buffer, expected: number): Promise<number> {
    const next = await this.#parts.jetstream.find(this.#stream, { next_by_subj: this.#subject, seq: expected + 1 })
    if (next !== undefined && record.equals(next.data)) return next.sequence
    // What followed may have been purged already, by whoever has come since.
    const last = await this.tail()
    throw last === undefined || last.state.floor > expected + 1 ? this.#unknown() : this.#fenced()
  }

  #fenced(): TaskError {
    return new TaskError('TASKS_FENCED', `partition ${this.partition} has another owner: nothing was applied`)
  }

  #unknown(cause?: unknown): TaskError {
    return unavailable(
      `partition ${this.partition}`,
      'it is not known whether the last commit was applied',
      'unknown',
      cause,
    )
  }
}
