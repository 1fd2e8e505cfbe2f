// Group commit: what is asked for in one turn of the event loop shares one transaction, and so one wait for the disk.
//
// G1. A promise of `write` settles after COMMIT, never before.
// G2. A write that throws a TaskError has not touched the file yet: it alone fails, and the others go on.
// G3. If SQLite itself refuses a write, the transaction is rolled back and each write is tried in one of its own.
//     So a write may be applied several times, but only once to any effect; what it changes in memory it undoes with `undo`.
// G4. A transaction of which nothing is a promise (leases, heartbeats, replies) does not wait for the disk. The log keeps their order,
//     so what is promised later is never stored without them.
import type { Clock } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { Database, Statement, Value } from './driver'
import { blockFor, concernsFile, failure, isBusy, replaced, saysNothingIsOpen } from './failure'
import type { Synchronous } from './schema'

/** The file, inside a write transaction. */
export interface Write {
  run(sql: string, ...values: Value[]): number
  get(sql: string, ...values: Value[]): Row | undefined
  all(sql: string, ...values: Value[]): Row[]
  /** Draws `count` numbers that follow each other and were never drawn before; answers the first. */
  draw(count: number): number
  /** What this transaction changed that somebody may be waiting for. */
  readonly changed: Changes
  /** Called if the transaction does not commit. */
  undo(fn: () => void): void
  /** Called once it has committed, before the promise of `write` resolves. */
  after(fn: () => void): void
}

export type Row = Readonly<Record<string, Value>>

export interface Changes {
  /** Queues that got something to hand out. */
  readonly queues: Set<number>
  /** Partitions that got inbox messages. */
  readonly slots: Set<number>
  /** Namespaces in which partitions became free, or hosts came or went. */
  readonly owners: Set<number>
  /** Namespaces that got events, or in which events were let go of. */
  readonly events: Set<number>
  /** Something for other processes only. */
  mail: boolean
}

interface Pending {
  readonly promised: boolean
  /** How long it has waited for another process's transaction. */
  blockedMs: number
  apply(write: Write): unknown
  resolve(value: never): void
  reject(error: unknown): void
}

interface Outcome {
  readonly failed: boolean
  readonly value: unknown
}

interface Stored {
  readonly transaction: Transaction
  /** Whether other processes are to be woken. */
  readonly shared: boolean
  /** Of the first of the batch, one each. */
  readonly outcomes: readonly Outcome[]
}

export interface GroupOptions {
  readonly db: Database
  readonly path: string
  readonly clock: Clock
  readonly synchronous: Synchronous
  /** Whether the file of that name is another by now: asked after commits, before they are answered. */
  isReplaced(): boolean
  /** Nothing more is read or written. */
  onReplaced(): void
  /** Another process does not let go of the lock. */
  onBlocked(): void
  /** Whether other processes are to be woken, asked before each commit that changed something that somebody may be waiting for. */
  isShared(write: Write): boolean
  /** After each such commit. */
  onCommit(changed: Changes, shared: boolean): void
}

// A transaction ends after this long even if more is waiting: the event loop has other things to do.
const TURN_MS = 20
// How long a write waits for another process's transaction before it gives up.
const LOCK_PATIENCE_MS = 10_000
// Between two tries no more than this is counted: the rest of it this process has slept itself.
const LONGEST_STEP_MS = 200
// The lock is asked for in bursts, one try a turn, a millisecond apart: most transactions of others take less.
const BURST = 20
const PAUSE_MS = 1
// Who has waited for long waits for a process that is stopped, or the like: a tenth more does no harm, and trying all the time costs a core.
const PAUSE_SHARE = 10
const LONGEST_PAUSE_MS = 50
// A process that commits in a row lets go of the lock for a few microseconds at a time, which others mostly miss. If one of them says so,
// it makes room, after it has had the lock for this long.
const STREAK_MS = 5
// Looking at the path after every commit would cost a lone one a twentieth.
const CHECK_MS = 1

// Of the last write, in which a process says that it is gone: others find that out by themselves, but later.
const GOODBYE_TRIES = 20

// Readers wait for nobody, except for a moment while another process recovers the log of one that was killed.
const READ_TRIES = 1000

export class Group {
  readonly #options: GroupOptions
  readonly #statements = new Map<string, Statement>()
  #waiting: Pending[] = []
  #scheduled = false
  #isOpen = true
  /** Why nothing more is read or written. */
  #over: TaskError | undefined
  #waitsForDisk: boolean
  /** Whether the last transaction failed at its COMMIT. */
  #inDoubt = false
  /** Whether a ROLLBACK failed. */
  #mayBeOpen = false
  #tries = 0
  #roomWanted = false
  #streakSince = 0
  #blockedSince: number | undefined
  #triedAt = 0
  #checkedAt = -Infinity
  #cancelRetry: (() => void) | undefined

  constructor(options: GroupOptions) {
    this.#options = options
    this.#waitsForDisk = options.synchronous === 'full'
  }

  /** Applies `apply` in the transaction of this turn; what it stores survives what the transport declares. */
  write<T>(apply: (write: Write) => T): Promise<T> {
    return this.#add(apply, true)
  }

  /** The same for what may be lost by a power cut. The death of a process loses nothing. */
  note<T>(apply: (write: Write) => T): Promise<T> {
    return this.#add(apply, false)
  }

  #add<T>(apply: (write: Write) => T, promised: boolean): Promise<T> {
    if (this.#over) return Promise.reject(this.#over)
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ promised, blockedMs: 0, apply, resolve, reject })
      if (!this.#scheduled) this.#schedule()
    })
  }

  /** Another process waits for the lock. */
  makeRoom(): void {
    this.#roomWanted = true
  }

  /** Reads what is committed. */
  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#read(() => this.#prepare(sql).get(...values) as Row | undefined)
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#read(() => this.#prepare(sql).all(...values) as Row[])
  }

  /** A last write, now; then nothing more. What is waiting rejects with `reason`. */
  close(reason: TaskError, last: (write: Write) => void): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    if (!this.#over) {
      this.#end(reason)
      this.#goodbye(last)
    }
    this.#statements.clear()
    this.#options.db.close()
  }

  /** Ends everything if the file of that name is another by now. Asked more often, it looks once a millisecond. */
  checkFile(): void {
    const now = this.#options.clock.monotonic()
    if (this.#over || now - this.#checkedAt < CHECK_MS) return
    this.#checkedAt = now
    if (!this.#options.isReplaced()) return
    this.#end(replaced(this.#options.path, 'no'))
    this.#options.onReplaced()
  }

  #end(reason: TaskError): void {
    this.#over = reason
    this.#cancelRetry?.()
    const waiting = this.#waiting
    this.#waiting = []
    for (const each of waiting) each.reject(reason)
  }

  #goodbye(last: (write: Write) => void): void {
    try {
      const batch = [{ promised: false, blockedMs: 0, apply: last, resolve: () => {}, reject: () => {} }]
      this.#settle(batch, this.#storeSoon(batch))
      // SQLite does so itself when the last connection closes, but @photostructure/sqlite keeps one open until its statements are collected.
      this.#prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
    } catch {
      // Somebody else is writing. Nothing is lost: leases run out, and others see that this process is gone.
    }
  }

  #read<T>(read: () => T): T {
    if (this.#over) throw this.#over
    for (let left = READ_TRIES; ; left--) {
      try {
        this.#endOpen()
        return read()
      } catch (error) {
        if (!isBusy(error) || left === 0) throw failure(error, this.#options.path)
        blockFor(1)
      }
    }
  }

  #prepare(sql: string): Statement {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#options.db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #flush(): void {
    this.#scheduled = false
    if (this.#over) return
    const waiting = this.#waiting
    this.#waiting = []
    const rest = this.#commit(waiting)
    if (rest.length > 0) this.#waiting = [...rest, ...this.#waiting]
    if (this.#waiting.length > 0 && !this.#scheduled && !this.#over) this.#schedule()
  }

  #schedule(): void {
    this.#scheduled = true
    const { clock } = this.#options
    if (this.#pauses()) this.#cancelRetry = clock.after(this.#pauseMs(), () => this.#flush())
    else clock.soon(() => this.#flush())
  }

  #pauseMs(): number {
    if (this.#blockedSince === undefined) return PAUSE_MS
    const blockedMs = this.#triedAt - this.#blockedSince
    return Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_MS, blockedMs / PAUSE_SHARE))
  }

  #pauses(): boolean {
    if (this.#tries > 0) return this.#tries % BURST === 0
    if (!this.#roomWanted) return false
    const now = this.#options.clock.monotonic()
    if (now - this.#streakSince < STREAK_MS) return false
    this.#streakSince = now
    this.#roomWanted = false
    return true
  }

  /** Answers what there was no time for. */
  #commit(batch: readonly Pending[]): readonly Pending[] {
    let stored: Stored
    try {
      stored = this.#store(batch)
    } catch (error) {
      if (isBusy(error)) return this.#waitForLock(batch, error)
      this.#forgetLock()
      if (concernsFile(error) || batch.length === 1) {
        const reason = failure(error, this.#options.path, this.#inDoubt)
        for (const each of batch) each.reject(reason)
        return []
      }
      let left: readonly Pending[] = []
      for (const each of batch) left = left.length > 0 ? [...left, each] : this.#commit([each])
      return left
    }
    if (this.#tries > 0) this.#streakSince = this.#options.clock.monotonic()
    this.#forgetLock()
    this.checkFile()
    if (this.#over) {
      const reason = replaced(this.#options.path, 'unknown')
      for (const each of batch) each.reject(reason)
      return []
    }
    this.#settle(batch, stored)
    return batch.slice(stored.outcomes.length)
  }

  /** It is waited for no longer. */
  #forgetLock(): void {
    this.#tries = 0
    this.#blockedSince = undefined
  }

  #waitForLock(batch: readonly Pending[], error: unknown): readonly Pending[] {
    const now = this.#options.clock.monotonic()
    const step = this.#blockedSince === undefined ? 0 : Math.min(LONGEST_STEP_MS, now - this.#triedAt)
    this.#blockedSince ??= now
    this.#triedAt = now
    if (++this.#tries % BURST === 0) this.#options.onBlocked()
    const left: Pending[] = []
    for (const each of batch) {
      each.blockedMs += step
      if (each.blockedMs < LOCK_PATIENCE_MS) left.push(each)
      else each.reject(failure(error, this.#options.path))
    }
    if (left.length === 0) {
      this.#forgetLock()
    }
    return left
  }

  /** Blocks the event loop for a few milliseconds at most, while another process writes. */
  #storeSoon(batch: readonly Pending[]): Stored {
    for (let left = GOODBYE_TRIES; ; left--) {
      try {
        return this.#store(batch)
      } catch (error) {
        if (!isBusy(error) || left === 0) throw error
        blockFor(1)
      }
    }
  }

  /** One transaction for as many of the batch as there is time for. Throws if nothing was stored. */
  #store(batch: readonly Pending[]): Stored {
    const transaction = new Transaction((sql) => this.#prepare(sql))
    const outcomes: Outcome[] = []
    this.#inDoubt = false
    this.#endOpen()
    this.#waitForDisk(batch.some(({ promised }) => promised))
    this.#prepare('BEGIN IMMEDIATE').run()
    try {
      const until = this.#options.clock.monotonic() + TURN_MS
      for (const each of batch) {
        try {
          outcomes.push({ failed: false, value: each.apply(transaction) })
        } catch (error) {
          if (!TaskError.is(error)) throw error
          outcomes.push({ failed: true, value: error })
        }
        if (this.#options.clock.monotonic() > until) break
      }
      transaction.finish()
      const shared = !isEmpty(transaction.changed) && this.#options.isShared(transaction)
      this.#inDoubt = true
      this.#prepare('COMMIT').run()
      return { transaction, shared, outcomes }
    } catch (error) {
      transaction.undone()
      try {
        this.#rollback()
      } catch {
        // The next who needs the connection tries again.
      }
      throw error
    }
  }

  /** Tells everybody what was stored. Nothing of this may fail a write, or apply it again. */
  #settle(batch: readonly Pending[], { transaction, shared, outcomes }: Stored): void {
    for (const fn of transaction.afterwards) this.#inform(fn)
    if (!isEmpty(transaction.changed)) this.#inform(() => this.#options.onCommit(transaction.changed, shared))
    outcomes.forEach(({ failed, value }, i) => {
      const { resolve, reject } = batch[i]!
      if (failed) reject(value)
      else resolve(value as never)
    })
  }

  /** An exception of a listener is a bug, thrown where it harms nobody else. */
  #inform(listener: () => void): void {
    try {
      listener()
    } catch (error) {
      this.#options.clock.soon(() => {
        throw error
      })
    }
  }

  #rollback(): void {
    this.#mayBeOpen = true
    try {
      this.#prepare('ROLLBACK').run()
    } catch (error) {
      // SQLite has mostly rolled back already, as it does when the disk is full.
      if (!saysNothingIsOpen(error)) throw error
    }
    this.#mayBeOpen = false
  }

  /** Ends a transaction whose ROLLBACK failed: until then no other can begin, and what it wrote would be read. */
  #endOpen(): void {
    if (this.#mayBeOpen) this.#rollback()
  }

  // A prepared statement would not do: this pragma takes effect when it is compiled.
  #waitForDisk(wait: boolean): void {
    const { db, synchronous } = this.#options
    if (synchronous !== 'full' || wait === this.#waitsForDisk) return
    db.exec(`PRAGMA synchronous = ${wait ? 'FULL' : 'NORMAL'}`)
    this.#waitsForDisk = wait
  }
}

function isEmpty({ queues, slots, owners, events, mail }: Changes): boolean {
  return queues.size === 0 && slots.size === 0 && owners.size === 0 && events.size === 0 && !mail
}

class Transaction implements Write {
  readonly changed: Changes = {
    queues: new Set(),
    slots: new Set(),
    owners: new Set(),
    events: new Set(),
    mail: false,
  }
  readonly #prepare: (sql: string) => Statement
  readonly #undo: (() => void)[] = []
  readonly afterwards: (() => void)[] = []
  #counter: number | undefined
  #drawn = 0

  constructor(prepare: (sql: string) => Statement) {
    this.#prepare = prepare
  }

  run(sql: string, ...values: Value[]): number {
    return Number(this.#prepare(sql).run(...values).changes)
  }

  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[]
  }

  draw(count: number): number {
    this.#counter ??= this.get('SELECT value FROM counter')!['value'] as number
    const first = this.#counter + this.#drawn + 1
    this.#drawn += count
    return first
  }

  undo(fn: () => void): void {
    this.#undo.push(fn)
  }

  after(fn: () => void): void {
    this.afterwards.push(fn)
  }

  finish(): void {
    if (this.#drawn > 0) this.run('UPDATE counter SET value = value + ?', this.#drawn)
  }

  undone(): void {
    for (const fn of this.#undo.reverse()) fn()
  }
}
