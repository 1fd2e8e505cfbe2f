// Owning a partition. The fence is the partition's own row: a commit first moves `seq` on, where epoch, nonce and `seq` are
// those of its session. If no row matches, somebody else has claimed since, and nothing is written.
import type { Bytes, Commit, InboxMessage, PartitionSession, Position, RowKey } from '@tasks/core'
import type { LeaseStore, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { Write } from './group-commit'
import { fitting } from './limits'
import type { Namespace } from './namespace'
import type { Outbox } from './outbox'
import { loadRows, scanRows, writeRows } from './rows'
import type { Store } from './store'

interface Claim {
  readonly partition: number
  readonly epoch: number
  readonly nonce: string
  readonly seq: number
  readonly time: number
  readonly through: number
}

class Session implements PartitionSession {
  readonly partition: number
  readonly claim: string
  readonly epoch: number
  readonly lost: AbortSignal
  readonly nonce: string
  readonly slot: number
  readonly #store: Store
  readonly #lifetime: Lifetime
  readonly #outbox: Outbox
  #seq: number
  #time: number
  #polled: number
  #hasCommitted = false
  #over: TaskError | undefined

  constructor(store: Store, lifetime: Lifetime, namespace: Namespace, outbox: Outbox, claim: Claim, lost: AbortSignal) {
    this.#store = store
    this.#lifetime = lifetime
    this.#outbox = outbox
    this.partition = claim.partition
    this.slot = namespace.slot(claim.partition)
    this.epoch = claim.epoch
    this.nonce = claim.nonce
    this.claim = `${claim.epoch}-${claim.nonce}`
    this.lost = lost
    this.#seq = claim.seq
    this.#time = claim.time
    this.#polled = claim.through
  }

  get seq(): number {
    return this.#seq
  }

  get time(): number {
    return this.#time
  }

  async load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]> {
    this.#lifetime.refuseIfOver()
    return loadRows(this.#store.group, this.slot, keys)
  }

  async scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]> {
    this.#lifetime.refuseIfOver()
    return scanRows(this.#store.group, this.slot, prefix, after, limit)
  }

  async poll({
    max,
    waitMs,
    signal,
  }: {
    max: number
    waitMs: number
    signal?: AbortSignal
  }): Promise<readonly InboxMessage[]> {
    this.#lifetime.refuseIfOver()
    const { clock } = this.#store
    const until = clock.monotonic() + waitMs
    for (;;) {
      const messages = this.#read(max)
      if (messages.length > 0) return messages
      const left = until - clock.monotonic()
      if (left <= 0 || signal?.aborted || this.lost.aborted) return []
      const woken = await this.#lifetime.wait(left, [signal, this.lost], (wake) =>
        this.#store.waiting.forSlot(this.slot, { after: this.#polled, wake }),
      )
      if (!woken) return []
    }
  }

  async commit(commit: Commit): Promise<void> {
    this.#lifetime.refuseIfOver()
    if (this.#over) throw this.#over
    this.#outbox.checkCommit(commit)
    // Sent again: it was applied, and the answer stands.
    if (this.#hasCommitted && commit.seq === this.#seq) return
    const through = commit.through === undefined ? null : Number(commit.through)
    try {
      await this.#store.group.write((write) => {
        const owned = write.run(
          FENCE,
          commit.seq,
          commit.time,
          through,
          this.slot,
          this.epoch,
          this.nonce,
          commit.seq - 1,
        )
        if (owned === 0) throw fenced(this.partition, commit.seq)
        if (through !== null) write.run('DELETE FROM inbox WHERE slot = ? AND seq <= ?', this.slot, through)
        writeRows(write, this.slot, commit.rows)
        this.#outbox.write(write, commit.sends)
      })
    } catch (error) {
      if (TaskError.is(error) && error.code !== 'TASKS_TOO_LARGE') this.#over = error
      throw error
    }
    this.#hasCommitted = true
    this.#seq = commit.seq
    this.#time = commit.time
  }

  #read(max: number): readonly InboxMessage[] {
    const { group } = this.#store
    const bytes = (count: number): number => group.get(INBOX_BYTES, this.slot, this.#polled, count)!['bytes'] as number
    const found = group.all(INBOX, this.slot, this.#polled, fitting(max, bytes))
    if (found.length > 0) this.#polled = found.at(-1)!['seq'] as number
    return found.map(({ seq, id, body }) => ({
      position: String(seq) as Position,
      id: id as string,
      body: body as Bytes,
    }))
  }
}

const INBOX = 'SELECT seq, id, body FROM inbox WHERE slot = ? AND seq > ? ORDER BY seq LIMIT ?'
const INBOX_BYTES = `SELECT total(length(body)) AS bytes FROM (${INBOX})`

const FENCE = `
UPDATE partition SET seq = ?, time = ?, through = coalesce(?, through) WHERE slot = ? AND epoch = ? AND nonce = ? AND seq = ?`

function fenced(partition: number, seq: number): TaskError {
  return new TaskError(
    'TASKS_FENCED',
    `partition ${partition} has another owner, or commit ${seq} is not its next: nothing was applied`,
  )
}

/** What the lease policy of core asks of the file, for one host. */
export function leaseStore(
  store: Store,
  lifetime: Lifetime,
  namespace: Namespace,
  outbox: Outbox,
  leaseMs: number,
): LeaseStore {
  const { group, clock } = store
  let host: number | undefined
  let cancelExpiry = (): void => {}
  // Whoever has the next lease to run out may have died elsewhere: that is known then, and not only at the next heartbeat.
  const expectExpiry = (at: number | null): void => {
    cancelExpiry()
    if (at === null) return
    const wake = (): void => store.waiting.wake({ owners: new Set([namespace.id]) })
    cancelExpiry = clock.after(Math.max(0, at - clock.now()) + 1, wake, { unref: true })
  }
  return {
    partitions: namespace.partitions,
    heartbeat: (held) =>
      group.note((write) => {
        const now = clock.now()
        const expires = Math.ceil(now + leaseMs)
        const joined = join(write, store, namespace, host, expires)
        // A number that was rolled back is drawn again, by somebody else.
        write.after(() => (host = joined))
        const numbers = JSON.stringify(held)
        write.run(RENEW, expires, namespace.id, joined, numbers)
        const next = write.get(NEXT_EXPIRY, namespace.id, joined, now)!['next'] as number | null
        write.after(() => expectExpiry(next))
        const mine = new Set(write.all(MINE, namespace.id, joined).map(({ number }) => number as number))
        return {
          hosts: write.get('SELECT count(*) AS n FROM host WHERE namespace = ? AND expires >= ?', namespace.id, now)![
            'n'
          ] as number,
          lost: held.filter((number) => !mine.has(number)),
          free: write.all(FREE, namespace.id, now).map(({ number }) => number as number),
        }
      }),
    async claim(partition, lost) {
      const nonce = clock.uid()
      const row = await group.note((write) => {
        if (host === undefined) return undefined
        const now = clock.now()
        return write.get(CLAIM, nonce, host, Math.ceil(now + leaseMs), namespace.slot(partition), now)
      })
      if (!row) return undefined
      const { epoch, seq, time, through } = row as unknown as Claim
      return new Session(store, lifetime, namespace, outbox, { partition, epoch, nonce, seq, time, through }, lost)
    },
    async release(session) {
      const { slot, epoch, nonce } = session as Session
      await group.note((write) => {
        const released = write.run(
          'UPDATE partition SET owner = NULL WHERE slot = ? AND epoch = ? AND nonce = ?',
          slot,
          epoch,
          nonce,
        )
        if (released > 0) write.changed.owners.add(namespace.id)
      })
    },
    async leave() {
      cancelExpiry()
      await group.note((write) => {
        if (host !== undefined && write.run('DELETE FROM host WHERE id = ?', host) > 0)
          write.changed.owners.add(namespace.id)
      })
    },
    onFree: (listener) => store.waiting.forOwners(namespace.id, listener),
  }
}

/** A host that was thought dead comes back under its old number; its partitions do not. */
function join(write: Write, store: Store, namespace: Namespace, known: number | undefined, expires: number): number {
  if (known !== undefined && write.run('UPDATE host SET expires = ? WHERE id = ?', expires, known) > 0) return known
  const host = known ?? write.draw(1)
  write.run('INSERT INTO host VALUES (?, ?, ?, ?)', host, store.process, namespace.id, expires)
  write.changed.owners.add(namespace.id)
  return host
}

const RENEW = `
UPDATE partition SET expires = ? WHERE namespace = ? AND owner = ? AND number IN (SELECT value FROM json_each(?))`
const MINE = 'SELECT number FROM partition WHERE namespace = ? AND owner = ?'
const NEXT_EXPIRY = `
SELECT min(expires) AS next FROM (
  SELECT expires FROM partition WHERE namespace = ?1 AND owner <> ?2 UNION ALL SELECT expires FROM host WHERE namespace = ?1 AND id <> ?2)
WHERE expires >= ?3`
const FREE = 'SELECT number FROM partition WHERE namespace = ? AND (owner IS NULL OR expires < ?)'
const CLAIM = `
UPDATE partition SET epoch = epoch + 1, nonce = ?, owner = ?, expires = ? WHERE slot = ? AND (owner IS NULL OR expires < ?)
RETURNING epoch, seq, time, through`
