// Which SQLite is used. Node's own where it is new enough, else @photostructure/sqlite: the same API, so nothing else differs.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { TaskError } from '@tasks/core/adapter'

export type Value = null | number | bigint | string | Uint8Array

/** A parameter for bytes: node:sqlite of Node 22 binds some empty arrays as NULL. */
export const BYTES = "ifnull(?, x'')"

export interface Statement {
  run(...values: Value[]): { readonly changes: number | bigint }
  get(...values: Value[]): unknown
  all(...values: Value[]): unknown[]
}

export interface Database {
  prepare(sql: string): Statement
  exec(sql: string): void
  close(): void
}

export interface Driver {
  readonly name: 'node:sqlite' | '@photostructure/sqlite'
  /** Of SQLite, not of the package. */
  readonly version: string
  open(path: string): Database
}

export type DriverName = Driver['name']

interface SqliteModule {
  readonly DatabaseSync: new (path: string) => Database
}

const PEER = '@photostructure/sqlite'
const PEER_VERSION = '1.2.1'
const INSTALL = `npm install ${PEER}@${PEER_VERSION}`

/** Loads a module, or answers undefined if there is none of that name. */
export type Load = (name: DriverName) => SqliteModule | undefined

/** The driver of this process. `load` is for tests. */
export function chooseDriver(load: Load = loadDriver): Driver {
  const own = describe('node:sqlite', load)
  if (own && isSafe(own.version)) return own
  const peer = describe(PEER, load)
  if (peer && isSafe(peer.version)) return peer
  const old = peer ?? own
  if (old) {
    const hint = peer
      ? `install ${PEER}@${PEER_VERSION} or newer: ${INSTALL}`
      : `use a newer Node, or install a newer SQLite: ${INSTALL}`
    throw new TaskError(
      'TASKS_STORE_UNSAFE',
      `SQLite ${old.version} (${old.name}) can corrupt a file that several processes write: it has the WAL-reset bug of 3.7.0 to 3.51.2; ${hint}`,
      { details: { driver: old.name, version: old.version } },
    )
  }
  throw new TaskError(
    'TASKS_MISSING_PACKAGE',
    `Node ${process.versions.node} has no SQLite of its own; install one: ${INSTALL}`,
    {
      details: { package: PEER, version: PEER_VERSION, command: INSTALL },
    },
  )
}

/** Whether this version is free of the WAL-reset bug (sqlite.org/wal.html#walresetbug), which needs two writing connections. */
export function isSafe(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  if (major !== 3) return major > 3
  return minor > 51 || (minor === 51 && patch >= 3)
}

function describe(name: DriverName, load: Load): Driver | undefined {
  const found = load(name)
  if (!found) return undefined
  const probe = new found.DatabaseSync(':memory:')
  try {
    const { version } = probe.prepare('SELECT sqlite_version() AS version').get() as { version: string }
    return { name, version, open: (path) => new found.DatabaseSync(path) }
  } finally {
    probe.close()
  }
}

function loadDriver(name: DriverName): SqliteModule | undefined {
  return name === 'node:sqlite' ? builtin() : peer()
}

function builtin(): SqliteModule | undefined {
  const original = process.emitWarning
  // Loading the module warns that it is experimental. Only that one warning is dropped, and only during this synchronous call.
  const quiet = (warning: string | Error, ...rest: unknown[]): void => {
    const text = typeof warning === 'string' ? warning : warning.message
    if (rest[0] === 'ExperimentalWarning' && text.startsWith('SQLite')) return
    ;(original as (...args: unknown[]) => void).call(process, warning, ...rest)
  }
  process.emitWarning = quiet as typeof process.emitWarning
  try {
    return process.getBuiltinModule('node:sqlite') as unknown as SqliteModule | undefined
  } finally {
    process.emitWarning = original
  }
}

// Under a strict package manager an optional peer may be visible from the user's project only.
function peer(): SqliteModule | undefined {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    const require = createRequire(from)
    try {
      require.resolve(PEER)
    } catch {
      continue
    }
    return require(PEER) as SqliteModule
  }
  return undefined
}
