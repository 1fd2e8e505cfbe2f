// What one partition keeps: its inbox, its rows, its events, the last commit, and who may make the next one.
import { TaskError } from '../errors'
import type { Bytes, Commit, PartitionSession } from '../transport'
import { Deque } from './deque'
import { PartitionEvents } from './event-log'
import { Rows } from './rows'

interface Entry {
  readonly id: string
  readonly body: Bytes
}

/** Who may commit. */
export interface Holder extends PartitionSession {
  /** Whether the last commit of the partition is its. */
  readonly hasCommitted: boolean
  /** Something has changed. */
  notify(): void
}

export class Partition {
  readonly index: number
  readonly rows = new Rows()
  readonly events: PartitionEvents
  seq = 0
  time = 0
  epoch = 0
  /** The place of the last consumed inbox message; the inbox holds what comes after it. */
  through = 0
  /** The fence: a commit of any other session is refused. */
  session: Holder | undefined
  /** Whose lease it is. */
  host: object | undefined
  leaseUntil = 0
  readonly #inbox = new Deque<Entry>()

  constructor(index: number) {
    this.index = index
    this.events = new PartitionEvents(index)
  }

  /** `body` is kept as it is: the caller has copied it. */
  append(id: string, body: Bytes): void {
    this.#inbox.push({ id, body })
  }

  /** The place of the last inbox message. */
  get end(): number {
    return this.through + this.#inbox.size
  }

  at(place: number): Entry | undefined {
    return this.#inbox.at(place - this.through - 1)
  }

  isFree(now: number): boolean {
    return this.host === undefined || this.leaseUntil <= now
  }

  /** Throws `TASKS_FENCED` or `TASKS_ROW_EXISTS`, or changes everything; true if it did, false if this was done before. */
  apply(session: Holder, commit: Commit): boolean {
    this.fence(session)
    if (commit.seq === this.seq && session.hasCommitted) return false
    if (commit.seq !== this.seq + 1) {
      throw new TaskError(
        'TASKS_FENCED',
        `partition ${this.index} is at commit ${this.seq}: ${commit.seq} does not follow`,
      )
    }
    const there = commit.absent?.find((key) => this.rows.has(key))
    if (there !== undefined) throw new TaskError('TASKS_ROW_EXISTS', `commit ${commit.seq}: the row ${there} is there`)
    this.seq = commit.seq
    this.time = commit.time
    if (commit.through !== undefined) this.#consume(Number(commit.through))
    this.rows.write(commit.rows)
    return true
  }

  fence(session: Holder): void {
    if (this.session !== session)
      throw new TaskError('TASKS_FENCED', `claim ${session.claim} no longer owns partition ${this.index}`)
  }

  #consume(through: number): void {
    while (this.through < through && this.#inbox.shift() !== undefined) this.through++
  }
}
