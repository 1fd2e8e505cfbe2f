// The floor of SQLite: the driver itself, on a file in the same folder with the same durability, and rows as large as a task's message.
import { createRequire } from 'node:module'
import { encodeTaskEnvelope } from './envelopes'
import { costOf } from '../cost'
import type { Floors } from './floor'

interface Statement {
  run(...values: (number | string | Uint8Array)[]): unknown
  get(): unknown
}

interface Database {
  prepare(sql: string): Statement
  exec(sql: string): void
  close(): void
}

interface SqliteModule {
  readonly DatabaseSync: new (path: string) => Database
}

const BATCH = 1_000

/** The driver that the transport says it uses. */
function load(server: string): SqliteModule {
  if (server.includes('node:sqlite')) return process.getBuiltinModule('node:sqlite') as unknown as SqliteModule
  return createRequire(import.meta.url)('@photostructure/sqlite') as SqliteModule
}

/** What is used of a store's file, in bytes: what waits in the log counts, free pages do not. */
export function usedBytesOf(path: string, server: string): number {
  const db = new (load(server).DatabaseSync)(path)
  const pragma = (name: string): number =>
    Object.values(db.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[0]!
  try {
    return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size')
  } finally {
    db.close()
  }
}

/** @param server the transport's `capabilities.server`, which names its driver */
export function sqliteFloors(path: string, server: string, synchronous: string): Floors {
  const db = new (load(server).DatabaseSync)(path)
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`)
  db.exec(
    'CREATE TABLE message(seq INTEGER PRIMARY KEY, queue INTEGER, rank INTEGER, sent INTEGER, id TEXT, body BLOB)',
  )
  db.exec('CREATE TABLE row(slot INTEGER, key TEXT, value BLOB, PRIMARY KEY (slot, key)) WITHOUT ROWID')
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const insert = db.prepare('INSERT INTO message(queue, rank, sent, id, body) VALUES (1, 0, ?, ?, ?)')
  const replace = db.prepare('REPLACE INTO row VALUES (1, ?, ?)')
  const body = encodeTaskEnvelope(12_345)
  const at = Date.now()
  return {
    items: {
      title: `rows of ${body.length} bytes inserted by the driver, ${BATCH.toLocaleString('en')} a transaction, synchronous = ${synchronous}`,
      run: (count) =>
        costOf(() => {
          for (let i = 0; i < count; i += BATCH) {
            begin.run()
            for (let j = i; j < Math.min(i + BATCH, count); j++) insert.run(at, 'abcdefghijKLMNOPQRST', body)
            commit.run()
          }
        }),
    },
    steps: {
      title: `one row of ${body.length} bytes replaced by the driver in a transaction of its own, synchronous = ${synchronous}`,
      run: (count) =>
        costOf(() => {
          for (let i = 0; i < count; i++) {
            begin.run()
            replace.run(`M/${i % 16}`, body)
            commit.run()
          }
        }),
    },
    close: () => db.close(),
  }
}
