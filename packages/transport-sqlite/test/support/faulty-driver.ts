// The driver of this process with a switch for each fault: what a disk, a kill or a stop does, without harming the test's process.
import type { TransportHarness, Unknown } from '@tasks/conformance'
import type { Transport } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import type { Database, Driver, Statement } from '../../src/driver'
import { chooseDriver } from '../../src/driver'
import type { SqliteTransportOptions } from '../../src/transport'
import { transportOf } from '../../src/transport'

const SQLITE_IOERR = 10

function fault(errcode: number): Error {
  return Object.assign(new Error('a fault that was asked for'), { errcode })
}

/** What becomes of the next COMMIT of a transaction that has a statement like `having`. */
export interface CommitFault {
  readonly having: RegExp
  readonly applied: boolean
  readonly errcode: number
}

export class FaultyDriver implements Driver {
  readonly name: Driver['name']
  readonly version: string
  readonly #driver = chooseDriver()
  readonly #databases: Database[] = []
  #fault: CommitFault | undefined
  #stalled = false
  #crashed = false
  /** Statements of the transaction in progress. */
  #ran: string[] = []
  #failingRollbacks = 0
  commits = 0
  /** What `PRAGMA synchronous` was at each of them. */
  readonly synchronous: number[] = []

  constructor() {
    this.name = this.#driver.name
    this.version = this.#driver.version
  }

  fail(fault: CommitFault): void {
    this.#fault = fault
  }

  /** The next ROLLBACKs fail, and leave the transaction open. */
  failRollbacks(times: number): void {
    this.#failingRollbacks = times
  }

  /** No heartbeat gets through until the returned function is called. */
  stall(): () => void {
    this.#stalled = true
    return () => (this.#stalled = false)
  }

  /** Nothing more comes from this connection, as after a kill. */
  crash(): void {
    this.#crashed = true
    for (const db of this.#databases) db.close()
  }

  /** A disk that is full when the file has so many pages. */
  limitPages(pages: number): void {
    for (const db of this.#databases) db.exec(`PRAGMA max_page_count = ${pages}`)
  }

  open(path: string): Database {
    const db = this.#driver.open(path)
    this.#databases.push(db)
    return {
      exec: (sql) => {
        this.#refuseIfCrashed()
        db.exec(sql)
      },
      close: () => this.#crashed || db.close(),
      prepare: (sql) => {
        this.#refuseIfCrashed()
        return this.#statement(db, sql)
      },
    }
  }

  #statement(db: Database, sql: string): Statement {
    const statement = db.prepare(sql)
    const guarded = <T>(run: () => T): T => {
      this.#refuseIfCrashed()
      if (this.#stalled && /UPDATE host SET expires/.test(sql)) throw new TaskError('TASKS_UNAVAILABLE', 'stalled')
      if (sql === 'BEGIN IMMEDIATE') this.#ran = []
      else this.#ran.push(sql)
      if (sql === 'ROLLBACK' && this.#failingRollbacks > 0) {
        this.#failingRollbacks--
        throw fault(SQLITE_IOERR)
      }
      return sql === 'COMMIT' ? this.#commit(db, run) : run()
    }
    return {
      run: (...values) => guarded(() => statement.run(...values)),
      get: (...values) => guarded(() => statement.get(...values)),
      all: (...values) => guarded(() => statement.all(...values)),
    }
  }

  #commit<T>(db: Database, run: () => T): T {
    this.commits++
    this.synchronous.push((db.prepare('PRAGMA synchronous').get() as { synchronous: number }).synchronous)
    const asked = this.#fault
    if (!asked || !this.#ran.some((sql) => asked.having.test(sql))) return run()
    this.#fault = undefined
    if (asked.applied) run()
    else db.exec('ROLLBACK')
    throw fault(asked.errcode)
  }

  #refuseIfCrashed(): void {
    if (this.#crashed) throw new TaskError('TASKS_CLOSED', 'this connection is dead')
  }
}

/** Transports for the conformance suite, and what can be done to them. */
export function faultyTransports(options: SqliteTransportOptions): Required<
  Pick<TransportHarness, 'crash' | 'stall' | 'faults'>
> & {
  create(): Transport
} {
  const drivers = new WeakMap<Transport, FaultyDriver>()
  const driver = (transport: Transport): FaultyDriver => drivers.get(transport)!
  const failing =
    (having: RegExp) =>
    (transport: Transport, fault: Unknown): void =>
      driver(transport).fail({ having, applied: fault === 'unanswered', errcode: SQLITE_IOERR })
  return {
    create() {
      const driver = new FaultyDriver()
      const transport = transportOf(options, driver)
      drivers.set(transport, driver)
      return transport
    },
    crash: (transport) => driver(transport).crash(),
    stall: (transport) => driver(transport).stall(),
    faults: {
      commit: failing(/UPDATE partition SET seq/),
      send: failing(/INSERT INTO (message|inbox|dead)/),
      settle: failing(/DELETE FROM message|INSERT INTO (message|delayed|ready|dead)/),
    },
  }
}
