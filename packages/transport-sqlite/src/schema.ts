// The tables, and how a file is recognised as ours.
import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '@tasks/core/adapter'
import { sleep, TaskError } from '@tasks/core/adapter'
import type { Database, Driver } from './driver'
import { failure, isBusy } from './failure'

/** 'Task' in ASCII: what `file` and SQLite's `PRAGMA application_id` show. */
export const APPLICATION_ID = 0x5461736b
export const SCHEMA_VERSION = 1

// `seq` is one counter for the whole file, drawn inside write transactions: what is committed later has a higher number, and no
// number is used twice. Inbox positions and leases depend on both.
const TABLES = `
CREATE TABLE counter(id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES (1, 0);

CREATE TABLE namespace(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;

-- Who has the file open: one row for each transport.
CREATE TABLE process(
  id INTEGER PRIMARY KEY, machine TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL,
  seen INTEGER NOT NULL) STRICT;
-- Who takes part in owning partitions.
CREATE TABLE host(id INTEGER PRIMARY KEY, process INTEGER NOT NULL, namespace INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT;

CREATE TABLE partition(
  slot INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, number INTEGER NOT NULL,
  epoch INTEGER NOT NULL, nonce TEXT NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL, through INTEGER NOT NULL,
  owner INTEGER, expires INTEGER NOT NULL, UNIQUE (namespace, number)) STRICT;
CREATE TABLE row(slot INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (slot, key)) STRICT, WITHOUT ROWID;
CREATE TABLE inbox(
  slot INTEGER NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (slot, seq)) STRICT, WITHOUT ROWID;

-- A message stays in its table until it is settled; which of ready, suspect, delayed or a lease names it says how it stands.
CREATE TABLE queue(id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (namespace, name)) STRICT;
CREATE TABLE message(
  seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, rank INTEGER NOT NULL, sent INTEGER NOT NULL, expired INTEGER NOT NULL,
  id TEXT NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE ready(
  queue INTEGER NOT NULL, rank INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (queue, rank, seq)) STRICT, WITHOUT ROWID;
-- Its lease ran out; until somebody else gets it, the holder of that lease may still settle it.
CREATE TABLE suspect(
  queue INTEGER NOT NULL, seq INTEGER NOT NULL, lease INTEGER NOT NULL, PRIMARY KEY (queue, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE delayed(due INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (due, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE lease(id INTEGER PRIMARY KEY, process INTEGER NOT NULL, expires INTEGER NOT NULL, members TEXT NOT NULL) STRICT;
CREATE INDEX lease_expires ON lease(expires);

-- What has happened. A log has a row once it has an event; dropped: the last seq that retention has removed.
CREATE TABLE event(
  slot INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (slot, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE event_log(slot INTEGER PRIMARY KEY, dropped INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
-- How far a named subscription has come, and which page of it somebody holds.
CREATE TABLE cursor(
  namespace INTEGER NOT NULL, name TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL,
  holder INTEGER, expires INTEGER NOT NULL, PRIMARY KEY (namespace, name, partition)) STRICT, WITHOUT ROWID;

CREATE TABLE reply(
  process INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, address TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (process, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE signal(
  seq INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, sender INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL) STRICT;

CREATE TABLE dead(
  seq INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, info TEXT NOT NULL,
  body BLOB NOT NULL) STRICT;
CREATE INDEX dead_order ON dead(namespace, seq);

CREATE TABLE blob(
  id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, key TEXT NOT NULL, page INTEGER NOT NULL, at INTEGER NOT NULL,
  bytes BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX blob_key ON blob(namespace, key, page, at);
`

export type Synchronous = 'full' | 'normal'

export interface FileOptions {
  readonly driver: Driver
  readonly path: string
  readonly synchronous: Synchronous
  readonly clock: Clock
}

// Processes that start together, or a recovery after a crash, hold each other up for a moment.
const PATIENCE_MS = 10_000
const RETRY_MS = 5
// More than are drawn between two checkpoints, of which each is synced. There are enough for eight milliard starts.
const MOST_LOST_NUMBERS = 2 ** 20
// What the log is cut back to after it was longer.
const LOG_BYTES = 64 * 1024 * 1024

/** Opens the file, makes it ours if it is new and `create` is set, and refuses it (unchanged) if it is not ours or newer. */
export async function openFile(options: FileOptions, create: boolean): Promise<Database> {
  const { path, clock } = options
  const until = clock.monotonic() + PATIENCE_MS
  for (;;) {
    try {
      return attempt(options, create)
    } catch (error) {
      if (!isBusy(error) || clock.monotonic() > until) throw failure(error, path)
      await sleep(clock, RETRY_MS)
    }
  }
}

function attempt({ driver, path, synchronous }: FileOptions, create: boolean): Database {
  inspectPath(path, create)
  const db = driver.open(path)
  try {
    // Whoever waits does so without blocking the event loop: here and in group-commit.ts.
    db.exec('PRAGMA busy_timeout = 0')
    const state = look(db, path)
    if (state === 'empty' && !create) throw missing(path)
    db.exec('PRAGMA journal_mode = WAL')
    db.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA journal_size_limit = ${LOG_BYTES}`)
    // On macOS a sync leaves what was written in the drive's cache, unless it is told not to. Nothing elsewhere.
    db.exec('PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1')
    if (state === 'empty') createTables(db, path)
    else if (synchronous === 'normal') skipLostNumbers(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

// Never opens the file itself: closing any descriptor of it would drop the locks that SQLite holds for this process.
function inspectPath(path: string, create: boolean): void {
  const refuse = (message: string, cause?: unknown): TaskError =>
    new TaskError('TASKS_UNAVAILABLE', `${path}: ${message}`, { cause, details: { path } })
  const folder = dirname(path)
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new TaskError('TASKS_NOT_FOUND', `${path}: the folder ${folder} does not exist; create it first`, {
      details: { path },
    })
  }
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found && !create) throw missing(path)
  if (found?.isDirectory()) throw refuse('this is a folder, not a file')
  try {
    accessSync(found ? path : folder, constants.R_OK | constants.W_OK)
  } catch (error) {
    throw refuse(
      found
        ? 'the file cannot be read and written by this user'
        : `the folder ${folder} cannot be written by this user`,
      error,
    )
  }
}

function missing(path: string): TaskError {
  return new TaskError('TASKS_NOT_FOUND', `${path}: there is no such store, and it is not to be created`, {
    details: { path },
  })
}

/** All that tells is read at once: another process may be creating the tables. */
function look(db: Database, path: string): 'ours' | 'empty' {
  db.exec('BEGIN')
  try {
    return recognise(db, path)
  } finally {
    db.exec('ROLLBACK')
  }
}

/** In a transaction. */
function recognise(db: Database, path: string): 'ours' | 'empty' {
  const pragma = (name: string): number =>
    Object.values(db.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[0]!
  const application = pragma('application_id')
  const version = pragma('user_version')
  const tables = (db.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number }).n
  if (application === APPLICATION_ID) {
    if (version <= SCHEMA_VERSION) return 'ours'
    throw new TaskError(
      'TASKS_STORE_NEWER',
      `${path}: the file has format ${version}, and this version of @tasks/transport-sqlite reads up to ${SCHEMA_VERSION}; upgrade the package`,
      { details: { path, format: version, readable: SCHEMA_VERSION } },
    )
  }
  if (application === 0 && version === 0 && tables === 0) return 'empty'
  throw new TaskError(
    'TASKS_STORE_FOREIGN',
    `${path}: this SQLite file belongs to another program (application_id ${application})`,
    {
      details: { path, application },
    },
  )
}

function createTables(db: Database, path: string): void {
  db.exec('BEGIN IMMEDIATE')
  try {
    // Another process may have been quicker.
    if (recognise(db, path) === 'empty') {
      db.exec(TABLES)
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`)
    }
    db.exec('COMMIT')
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}

/**
 * After a power cut the counter may stand where it stood before commits that nobody had synced. Who remembers a position among those
 * would take the events that get the same numbers for ones it has had.
 */
function skipLostNumbers(db: Database): void {
  db.exec('PRAGMA synchronous = FULL')
  db.prepare('UPDATE counter SET value = value + ?').run(MOST_LOST_NUMBERS)
  db.exec('PRAGMA synchronous = NORMAL')
}
