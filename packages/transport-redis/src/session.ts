// Owning a partition: reading its rows, following its inbox, committing. The fence is in the commit's script.
import type { Bytes, Commit, InboxMessage, PartitionSession, Position, RowKey } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { Argument } from './call'
import type { Connection } from './connection'
import { unavailable } from './failure'
import { decodeFrames } from './frame'
import type { PartitionKeys } from './keys'
import type { Follower, Mailbox } from './mailbox'
import type { Outbox } from './outbox'
import { Parts } from './outbox'
import { loadRows, scanRows } from './rows'
import { commit as commitScript } from './scripts/commit'
import { poll as pollScript } from './scripts/poll'

export interface SessionParts {
  readonly connection: Connection
  readonly direct: Connection
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly mailbox: Mailbox
  readonly outbox: Outbox
  readonly keys: PartitionKeys
  /** Throws if the commit is over a limit. */
  readonly check: (commit: Commit) => void
}

/** What a claim has found. */
export interface Claim {
  readonly partition: number
  readonly claim: string
  readonly epoch: number
  readonly seq: number
  readonly time: number
  /** The position of the last consumed inbox message. */
  readonly head: number
}

const APPLIED = 1
const ROW_EXISTS = 2

export class Session implements PartitionSession {
  readonly partition: number
  readonly claim: string
  readonly epoch: number
  readonly lost: AbortSignal
  readonly keys: PartitionKeys
  readonly #parts: SessionParts
  readonly #inbox: Inbox
  #seq: number
  #time: number
  #hasCommitted = false
  #over: TaskError | undefined

  constructor(parts: SessionParts, { partition, claim, epoch, seq, time, head }: Claim, lost: AbortSignal) {
    this.#parts = parts
    this.partition = partition
    this.claim = claim
    this.epoch = epoch
    this.lost = lost
    this.keys = parts.keys
    this.#seq = seq
    this.#time = time
    this.#inbox = new Inbox(parts, claim, head, lost)
  }

  get seq(): number {
    return this.#seq
  }

  get time(): number {
    return this.#time
  }

  async load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]> {
    this.#parts.lifetime.refuseIfOver()
    return loadRows(this.#parts.connection, this.keys, keys)
  }

  async scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]> {
    this.#parts.lifetime.refuseIfOver()
    return scanRows(this.#parts.connection, this.keys, prefix, after, limit)
  }

  async poll(options: {
    readonly max: number
    readonly waitMs: number
    readonly signal?: AbortSignal
  }): Promise<readonly InboxMessage[]> {
    this.#parts.lifetime.refuseIfOver()
    if (this.#over !== undefined) throw fenced(`claim ${this.claim} is over`, this.#over)
    return this.#inbox.poll(options, () => this.#seq)
  }

  async commit(commit: Commit): Promise<void> {
    this.#parts.lifetime.refuseIfOver()
    if (this.#over !== undefined) throw fenced(`claim ${this.claim} is over`, this.#over)
    this.#parts.check(commit)
    // Sent again: it was applied, and the answer stands.
    if (this.#hasCommitted && commit.seq === this.#seq) return
    try {
      if (commit.seq !== this.#seq + 1)
        throw fenced(`partition ${this.partition} is at commit ${this.#seq}: ${commit.seq} does not follow`)
      const tries = { inDoubt: 0 }
      const answer = await this.#send(commit, tries)
      if (answer !== APPLIED) throw this.#refusal(commit, answer, tries.inDoubt)
    } catch (error) {
      if ((error as TaskError).code !== 'TASKS_ROW_EXISTS') this.#over = error as TaskError
      throw error
    }
    this.#hasCommitted = true
    this.#seq = commit.seq
    this.#time = commit.time
  }

  /** Answers as the script does. */
  #send({ seq, time, through, rows, absent = [], sends }: Commit, tries: { inDoubt: number }): Promise<unknown> {
    const { direct, outbox, keys } = this.#parts
    const parts = new Parts([...outbox.commonKeys, keys.state, keys.inbox, keys.rows, keys.index])
    const [position, id] = through === undefined ? ['', ''] : placeOf(through)
    const puts: Argument[] = []
    const dels: Argument[] = []
    for (const [key, value] of rows) {
      if (value === null) dels.push(key)
      else puts.push(key, value)
    }
    const { args } = parts
    args.push(this.claim, seq, time, position, id, puts.length / 2)
    for (const put of puts) args.push(put)
    args.push(dels.length)
    for (const del of dels) args.push(del)
    args.push(absent.length)
    for (const key of absent) args.push(key)
    outbox.write(parts, sends)
    return direct.run(commitScript, parts.keys, (inDoubt) => {
      tries.inDoubt = inDoubt
      return args
    })
  }

  #refusal({ seq, absent = [] }: Commit, answer: unknown, triesInDoubt: number): TaskError {
    // No try was applied: that would have been said.
    if (answer === ROW_EXISTS)
      return new TaskError('TASKS_ROW_EXISTS', `commit ${seq}: one of the rows ${absent.join(', ')} is there`)
    // Refused at the first try it was not applied; at a later one, an earlier may have been, before somebody else took the partition.
    if (triesInDoubt > 0)
      return unavailable(
        `partition ${this.partition}`,
        `commit ${seq} may have been applied before another owner came`,
        'unknown',
      )
    return fenced(
      `partition ${this.partition} has another owner, or the store is not the one that commit ${seq} follows on: nothing was applied`,
    )
  }

  /** Nothing is pushed to it any more. */
  end(): void {
    this.#inbox.close()
  }
}

/** A message's position, with its id: a store that lost its tail may have another message there. */
function positionOf(number: number, id: string): Position {
  return `${number} ${id}`
}

function placeOf(position: Position): [number: string, id: string] {
  const end = position.indexOf(' ')
  return [position.slice(0, end), position.slice(end + 1)]
}

function fenced(message: string, cause?: unknown): TaskError {
  return new TaskError('TASKS_FENCED', message, { cause })
}

/** The messages of a partition as they come: pushed while the owner keeps up, asked for when it does not, or when a push may have been missed. */
class Inbox implements Follower {
  readonly #parts: SessionParts
  readonly #claim: string
  readonly #lost: AbortSignal
  /** Read and not handed out yet. */
  #ready: InboxMessage[] = []
  /** Pushed, and behind something that is still to be read. */
  #ahead: { readonly position: number; readonly frames: Buffer }[] = []
  /** The position of the last that was read, and its id, if it was read in this session. */
  #read: number
  #lastId = ''
  /** Whether the server knows that what comes next is to be pushed. */
  #follows = false
  #polling = false
  #asking = false
  #wake: (() => void) | undefined

  constructor(parts: SessionParts, claim: string, head: number, lost: AbortSignal) {
    this.#parts = parts
    this.#claim = claim
    this.#lost = lost
    this.#read = head
    parts.mailbox.followers.set(claim, this)
  }

  /** @param seq the number of the session's last commit */
  async poll(
    { max, waitMs, signal }: { max: number; waitMs: number; signal?: AbortSignal },
    seq: () => number,
  ): Promise<readonly InboxMessage[]> {
    if (this.#polling) throw new TaskError('TASKS_ARGUMENTS', 'a session has one poll at a time')
    this.#polling = true
    const { clock, lifetime } = this.#parts
    const until = clock.monotonic() + waitMs
    try {
      for (;;) {
        if (signal?.aborted || this.#lost.aborted) return []
        if (this.#ready.length === 0 && (!this.#follows || waitMs <= 0)) await this.#ask(max, seq())
        if (this.#ready.length > 0) return this.#take(max)
        const left = until - clock.monotonic()
        if (left <= 0) return []
        if (!this.#follows) continue
        const woken = await lifetime.wait(left, [signal, this.#lost], (wake) => {
          this.#wake = wake
          return () => (this.#wake = undefined)
        })
        // Now and then it asks all the same.
        if (!woken) this.#follows = false
      }
    } finally {
      this.#polling = false
    }
  }

  push(position: number, frames: Buffer): void {
    if (position > this.#read) this.#ahead.push({ position, frames })
    else this.#add(position, frames)
    this.#catchUp()
    this.#wake?.()
  }

  more(): void {
    this.#follows = false
    this.#wake?.()
  }

  close(): void {
    const { followers } = this.#parts.mailbox
    if (followers.get(this.#claim) === this) followers.delete(this.#claim)
  }

  async #ask(max: number, seq: number): Promise<void> {
    const { connection, keys, mailbox } = this.#parts
    // What is told from here on is told again by nobody.
    this.#follows = true
    const args = [this.#claim, seq, this.#read, this.#lastId, max, mailbox.channel]
    this.#asking = true
    const answer = await connection.run(pollScript, [keys.state, keys.inbox], args).catch((error: unknown) => {
      this.#follows = false
      throw error
    })
    this.#asking = false
    if (answer === null)
      throw fenced(
        `claim ${this.#claim} no longer owns its partition, or the store lacks what it has committed or read`,
      )
    const [position, frames, whole] = answer as [Buffer, Buffer, number]
    if (whole !== 1) this.#follows = false
    // Another session may have consumed what this one was going to read; it is fenced, and must not trip over it.
    this.#read = Math.max(this.#read, Number(position.toString()))
    this.#add(Number(position.toString()), frames)
    this.#catchUp()
  }

  /** Takes in what is new of these frames, which follow `position`. */
  #add(position: number, frames: Buffer): void {
    decodeFrames(frames).forEach(({ id, body }, i) => {
      const at = position + 1 + i
      if (at <= this.#read) return
      this.#ready.push({ position: positionOf(at, id), id, body })
      this.#read = at
      this.#lastId = id
    })
  }

  #catchUp(): void {
    if (this.#ahead.length === 0) return
    const ahead = this.#ahead
    this.#ahead = []
    for (const push of ahead) {
      if (push.position <= this.#read) this.#add(push.position, push.frames)
      else this.#ahead.push(push)
    }
    // Something in between was missed, unless it is being asked for.
    if (this.#ahead.length > 0 && !this.#asking) this.#follows = false
  }

  #take(max: number): InboxMessage[] {
    if (this.#ready.length <= max) {
      const all = this.#ready
      this.#ready = []
      return all
    }
    return this.#ready.splice(0, max)
  }
}
