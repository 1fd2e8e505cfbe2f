// From a URL to a transport. Core knows the names of the packages that are published, as data, and imports none of
// them.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Adapter } from './adapter/adapter'
import { systemClock, type Clock } from './clock'
import { loadConfig } from './config'
import { TaskError } from './errors'
import type { Logger } from './logger'
import type { Transport } from './transport'

export interface ConnectOptions {
  /** Adapters for further schemes, or in place of the published ones. */
  readonly adapters?: Readonly<Record<string, Adapter>>
  /** Hears what adapters report. Default: nobody. */
  readonly logger?: Logger
  /** For tests. Default: the machine's. */
  readonly clock?: Clock
  /**
   * Folders whose packages are searched for an adapter, after core's own neighbours. Default: the working directory,
   * and that of the program.
   */
  readonly from?: readonly string[]
}

/** The options that workers and clients pass on. */
export function connectOptionsOf(adapters: ConnectOptions['adapters'], clock: Clock, logger: Logger): ConnectOptions {
  return adapters === undefined ? { clock, logger } : { adapters, clock, logger }
}

interface Published {
  readonly package: string
  /** What has to be installed beside it. */
  readonly peer?: string
}

const PUBLISHED: Readonly<Record<string, Published>> = {
  sqlite: { package: '@tasks/transport-sqlite' },
  redis: { package: '@tasks/transport-redis', peer: 'ioredis' },
  rediss: { package: '@tasks/transport-redis', peer: 'ioredis' },
  nats: { package: '@tasks/transport-nats', peer: '@nats-io/transport-node' },
  'tls+nats': { package: '@tasks/transport-nats', peer: '@nats-io/transport-node' },
  kafka: { package: '@tasks/transport-kafka', peer: 'kafkajs' },
}

/** A transport, and how to be done with it: one that was made by hand stays open. */
export interface Connection {
  readonly transport: Transport
  close(): Promise<void>
}

/**
 * Opens a transport by URL: `memory:`, `sqlite:./tasks.db`, `redis://…`, `nats://…`, `kafka://…`.
 * The adapter is resolved from the project of the working directory or of the program, so that strict installs work.
 * @param transport a URL; a transport made by hand is passed through; absent, `TASKS_URL` of the environment, else that
 *   of `tasks.config.*`
 * @throws TaskError TASKS_UNKNOWN_SCHEME naming the known ones, TASKS_MISSING_PACKAGE with the command that installs
 *   it, TASKS_CONFIG
 */
export async function connect(
  transport: string | Transport | undefined,
  options: ConnectOptions = {},
): Promise<Connection> {
  if (transport === undefined) return connectAsConfigured(options)
  if (typeof transport === 'object') return { transport, close: () => Promise.resolve() }
  const url = transport
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  const clock = options.clock ?? systemClock
  const adapter =
    scheme === undefined ? undefined : (options.adapters?.[scheme] ?? (await published(scheme, options.from)))
  if (adapter === undefined) {
    const known = [...new Set(['memory', ...Object.keys(PUBLISHED), ...Object.keys(options.adapters ?? {})])].join(', ')
    throw new TaskError(
      'TASKS_UNKNOWN_SCHEME',
      `"${redactUrl(url)}" is not a transport: its scheme must be one of ${known}`,
    )
  }
  const { logger } = options
  const opened = await adapter.fromUrl(url, logger === undefined ? { clock } : { clock, logger })
  return { transport: opened, close: () => opened.close() }
}

async function connectAsConfigured(options: ConnectOptions): Promise<Connection> {
  const { file, settings } = await loadConfig()
  const { value } = settings.transport
  if (value === undefined) {
    const place = file === undefined ? 'write a tasks.config.js' : `say so in ${file}`
    throw new TaskError(
      'TASKS_CONFIG',
      `no transport was given: pass one, like "sqlite:./tasks.db", set TASKS_URL, or ${place}`,
    )
  }
  return connect(value, { ...options, adapters: { ...settings.adapters.value, ...options.adapters } })
}

async function published(scheme: string, from: readonly string[] = homes()): Promise<Adapter | undefined> {
  if (scheme === 'memory') return (await import('./memory/index')) as unknown as Adapter
  const entry = PUBLISHED[scheme]
  if (entry === undefined) return undefined
  try {
    return (await import(entry.package)) as Adapter
  } catch (error) {
    // Only an adapter that is not there is looked for elsewhere; one that is broken says so itself.
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND' || !String(error).includes(entry.package))
      throw error
  }
  // Strict installs show core no other package: the program's own project has it.
  for (const folder of from) {
    let path: string
    try {
      path = createRequire(`${folder}/`).resolve(entry.package)
    } catch {
      continue
    }
    return (await import(pathToFileURL(path).href)) as Adapter
  }
  const install = entry.peer === undefined ? entry.package : `${entry.package} ${entry.peer}`
  throw new TaskError(
    'TASKS_MISSING_PACKAGE',
    `"${scheme}:" needs a package that is not installed: npm install ${install}`,
  )
}

/** Where the program may be at home: it can have been started from anywhere. */
function homes(): readonly string[] {
  const [, program] = process.argv
  return program === undefined ? [process.cwd()] : [process.cwd(), dirname(program)]
}

/** A URL as it may be shown: without passwords and tokens. */
export function redactUrl(url: string): string {
  // Of one host or several. What NATS finds alone before the @ is a token.
  const token = /^(tls\+)?nats:/i.test(url)
  return url
    .replace(/(\/\/|,)([^/?#,]*)@/g, (_, before: string, credentials: string) => {
      const [user, password] = credentials.split(/:(.*)/s)
      return `${before}${password === undefined ? (token ? '***' : user) : `${user}:***`}@`
    })
    .replace(/([?&][^=&]*(?:pass|token|secret|key)[^=&]*=)[^&]*/gi, '$1***')
}
