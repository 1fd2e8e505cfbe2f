// Owning a partition: its rows, its inbox, its commits. The fence is the transactional id: whoever takes it over ends all others.
import type { Bytes, Commit, InboxMessage, PartitionSession, RowKey } from '@tasks/core'
import type { Lifetime, TaskError } from '@tasks/core/adapter'
import type { Restored, Standing } from './changelog'
import { positionRecord, rowRecord } from './changelog'
import type { Batch, NewRecord, Transactor } from './driver'
import { fenced } from './failure'
import { inRecords } from './frame'
import type { Inbox } from './inbox'
import { isBefore, placeOfPosition } from './inbox'
import { MAX_BATCH_BYTES, MAX_COMMIT_ITEMS } from './limits'
import type { Outbox } from './outbox'

export interface SessionParts {
  readonly partition: number
  readonly claim: string
  readonly epoch: number
  readonly lost: AbortSignal
  readonly lifetime: Lifetime
  readonly transactor: Transactor
  readonly outbox: Outbox
  readonly inbox: Inbox
  readonly restored: Restored
  readonly changelog: string
  /** Throws if the commit is over a limit. */
  readonly check: (commit: Commit) => void
}

/** What a record takes beside its key and value, at most. */
const RECORD_BYTES = 32

export class Session implements PartitionSession {
  readonly partition: number
  readonly claim: string
  readonly epoch: number
  readonly lost: AbortSignal
  readonly #parts: SessionParts
  #standing: Standing
  #hasCommitted = false
  #over: TaskError | undefined

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.partition = parts.partition
    this.claim = parts.claim
    this.epoch = parts.epoch
    this.lost = parts.lost
    this.#standing = parts.restored.standing
  }

  get seq(): number {
    return this.#standing.seq
  }

  get time(): number {
    return this.#standing.time
  }

  async load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]> {
    this.#parts.lifetime.refuseIfOver()
    return this.#parts.restored.rows.load(keys)
  }

  async scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]> {
    this.#parts.lifetime.refuseIfOver()
    return this.#parts.restored.rows.scan(prefix, after, limit)
  }

  async poll(options: {
    readonly max: number
    readonly waitMs: number
    readonly signal?: AbortSignal
  }): Promise<readonly InboxMessage[]> {
    this.#refuseIfOver()
    return this.#parts.inbox.poll(options)
  }

  async commit(commit: Commit): Promise<void> {
    this.#refuseIfOver()
    this.#parts.check(commit)
    // Sent again: it was applied, and the answer stands.
    if (this.#hasCommitted && commit.seq === this.seq) return
    try {
      if (commit.seq !== this.seq + 1)
        throw fenced(`partition ${this.partition} is at commit ${this.seq}: ${commit.seq} does not follow`)
      await this.#apply(commit)
    } catch (error) {
      this.#over = error as TaskError
      this.end()
      throw error
    }
  }

  /** Nothing of it reaches the broker any more. */
  end(): void {
    this.#over ??= fenced(`partition ${this.partition} was given back`)
    this.#parts.inbox.end()
    this.#parts.transactor.close()
  }

  async #apply({ seq, time, through: position, rows, sends }: Commit): Promise<void> {
    const { transactor, outbox, inbox, restored, changelog, epoch } = this.#parts
    const through = position === undefined ? this.#standing.through : placeOfPosition(position)
    if (through !== undefined && isBefore(through, this.#standing.through))
      throw fenced(`partition ${this.partition} has consumed more than ${position}`)
    const standing: Standing = { seq, time, epoch, ...(through !== undefined && { through }) }
    const keys = [...rows.keys()]
    const records = [...keys.map((key) => rowRecord(key, rows.get(key)!)), positionRecord(standing)]
    const ofRows = inRecords(records, sizeOf, MAX_BATCH_BYTES, MAX_COMMIT_ITEMS + 1).map((members): Batch => ({
      topic: changelog,
      partition: this.partition,
      records: members,
    }))
    const fleeting = sends.filter(({ target }) => target.to === 'reply')
    const kept = fleeting.length === 0 ? sends : sends.filter(({ target }) => target.to !== 'reply')
    const ofSends = outbox.pack(kept, 'committed').map(({ batch }) => batch)

    const offsets = await transactor.transact([...ofRows, ...ofSends])

    this.#hasCommitted = true
    this.#standing = standing
    let row = 0
    ofRows.forEach((batch, i) => {
      batch.records.forEach(({ value }, index) => {
        const key = keys[row++]
        if (key !== undefined) restored.rows.set(key, value, offsets[i]! + index)
      })
    })
    if (through !== undefined) inbox.consumed(through)
    // Nobody waits for them to be stored, and they may be lost.
    if (fleeting.length > 0) outbox.send(fleeting).catch(() => {})
  }

  #refuseIfOver(): void {
    this.#parts.lifetime.refuseIfOver()
    if (this.#over !== undefined) throw fenced(`claim ${this.claim} is over`, this.#over)
  }
}

function sizeOf({ key, value }: NewRecord): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + RECORD_BYTES
}
