// The settings of a project, and which word won: what a command line or a program says goes before the environment,
// that before `tasks.config.*`, that before the default. Every setting keeps where it came from, so that `tasks doctor`
// can tell.
import { statSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Codec } from './codec'
import type { Adapter } from './adapter/adapter'
import { TaskError } from './errors'
import { eventLevels, type EventLevel } from './events/pipeline-event'
import { checkNamespace, checkQueueName } from './ids'
import type { Logger } from './logger'
import type { Tasks } from './tasks'
import type { Transport } from './transport'
import { DEFAULTS, EVENT_LEVELS } from './worker/settings'

/**
 * What `tasks.config.{ts,js,mjs}` exports by default: the settings of the `tasks` command. A program that gives no transport takes `transport` and
 * `adapters` of it, and nothing else.
 */
export interface Config {
  /** A URL, whose relative paths are relative to the working directory, or a transport made by hand. */
  readonly transport?: string | Transport
  readonly namespace?: string
  /** The registry, or the path of the module that exports it as `tasks` or by default, relative to this file. */
  readonly tasks?: Tasks | string
  /** Most tasks at a time in one worker. Default 10. */
  readonly concurrency?: number
  /** The queues that a worker serves. Default: those of its tasks. */
  readonly queues?: readonly string[]
  /** How long a task or a partition stays with a process that is silent. Default 10 000. */
  readonly leaseMs?: number
  /** How long a closing worker waits for its tasks. Default 10 000. */
  readonly drainMs?: number
  /** A task that was delivered this often and never ended becomes a dead letter. Default 5, at least 2. */
  readonly maxDeliveries?: number
  /** How long a task that a worker does not know is given back to its queue. Default 600 000. */
  readonly unknownTaskGraceMs?: number
  /** What is said of pipelines on the event log. Default `pipelines`. */
  readonly events?: EventLevel
  /** Publishes what workers do with their tasks, too. Default false. */
  readonly workerEvents?: boolean
  /** The same, durable before an outcome is reported. Default false. */
  readonly durableWorkerEvents?: boolean
  /** How values become bytes. Default: `jsonCodec()`. All of a namespace must have the same. */
  readonly codec?: Codec
  readonly logger?: Logger
  /** Transports for further URL schemes, or in place of the published ones. */
  readonly adapters?: Readonly<Record<string, Adapter>>
}

/** Gives the object back: it is there for its type. */
export function defineConfig(config: Config): Config {
  return config
}

export interface Setting<Value> {
  readonly value: Value
  readonly source: 'flag' | 'environment' | 'file' | 'default'
  /** Which flag, variable or file said so. Undefined for a default. */
  readonly name: string | undefined
}

type Value<Field extends keyof Config> = Field extends keyof typeof DEFAULTS
  ? NonNullable<Config[Field]>
  : Config[Field] | undefined

export type Settings = { readonly [Field in keyof Config]-?: Setting<Value<Field>> }

export interface LoadedConfig {
  /** The file that was read; undefined if there is none. */
  readonly file: string | undefined
  readonly settings: Settings
}

export interface LoadConfigOptions {
  /** Where the file is looked for. Default: the working directory. */
  readonly cwd?: string
  /** The file to read, relative to `cwd`, in place of looking for one. */
  readonly file?: string
  /** What goes before everything else. A text is read as the environment's is. */
  readonly flags?: { readonly [Field in keyof Config]?: Config[Field] | string | undefined }
  /** What the caller calls the flag of a field, in messages. Default: the field's name. */
  readonly flagName?: (field: keyof Config) => string
  /** Default: that of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** How the file is imported. Default: `import()`. */
  readonly load?: (path: string) => Promise<unknown>
}

const NAMES = ['tasks.config.ts', 'tasks.config.js', 'tasks.config.mjs']

/**
 * The configuration file of a folder. Not of the folders above: a relative path in it means the working directory.
 * @throws TaskError TASKS_CONFIG if there are two
 */
export function findConfig(cwd: string = process.cwd()): string | undefined {
  const [first, second] = NAMES.map((name) => join(cwd, name)).filter(isFile)
  if (first !== undefined && second !== undefined) {
    throw new TaskError('TASKS_CONFIG', `there are both ${first} and ${second}: remove one`)
  }
  return first
}

/**
 * Every setting with where it came from. Flag, environment (`TASKS_URL`, `TASKS_NAMESPACE`, `TASKS_MODULE`,
 * `TASKS_CONCURRENCY`, `TASKS_QUEUES`, `TASKS_LEASE_MS`, `TASKS_DRAIN_MS`, `TASKS_EVENTS`, `TASKS_WORKER_EVENTS`), file, default: the first
 * that says something wins.
 * @throws TaskError TASKS_CONFIG naming the file, variable or flag, and the field
 */
export async function loadConfig(options: LoadConfigOptions = {}): Promise<LoadedConfig> {
  const { cwd = process.cwd(), env = process.env, flags = {}, flagName = String, load = importModule } = options
  const file = options.file === undefined ? findConfig(cwd) : existing(resolve(cwd, options.file))
  const config = file === undefined ? {} : await read(file, load)
  const settings: Record<string, Setting<unknown>> = {}
  for (const name of FIELD_NAMES)
    settings[name] = settle(name, { flag: flags[name], flagName, env, inFile: config[name], file })
  return { file, settings: settings as unknown as Settings }
}

// ---- Fields --------------------------------------------------------------------------------------------------------

interface Field {
  readonly variable?: string
  readonly fallback?: unknown
  /** What a text of the environment or of a command line stands for. Default: itself. */
  readonly parse?: (text: string) => unknown
  /** What is wrong with a value: `must be …`. */
  readonly flaw: (value: unknown) => string | undefined
}

const FIELDS: Readonly<Record<keyof Config, Field>> = {
  transport: {
    variable: 'TASKS_URL',
    flaw: (x) =>
      isText(x) || has(x, 'open', 'close') ? undefined : 'must be a URL, like "sqlite:./tasks.db", or a transport',
  },
  namespace: { variable: 'TASKS_NAMESPACE', flaw: (x) => refusal(() => checkNamespace(x as string)) },
  tasks: {
    variable: 'TASKS_MODULE',
    flaw: (x) =>
      isText(x) || has(x, 'bind', 'names')
        ? undefined
        : 'must be what createTasks() gives, or the path of the module that exports it',
  },
  concurrency: { variable: 'TASKS_CONCURRENCY', fallback: DEFAULTS.concurrency, parse: Number, flaw: countFrom(1) },
  queues: {
    variable: 'TASKS_QUEUES',
    parse: (text) => text.split(',').map((name) => name.trim()),
    flaw: (x) =>
      Array.isArray(x) && x.length > 0 ? refusal(() => x.forEach(checkQueueName)) : 'must be a list of names',
  },
  leaseMs: { variable: 'TASKS_LEASE_MS', fallback: DEFAULTS.leaseMs, parse: Number, flaw: countFrom(50) },
  drainMs: { variable: 'TASKS_DRAIN_MS', fallback: DEFAULTS.drainMs, parse: Number, flaw: countFrom(0) },
  maxDeliveries: { fallback: DEFAULTS.maxDeliveries, flaw: countFrom(2) },
  unknownTaskGraceMs: { fallback: DEFAULTS.unknownTaskGraceMs, flaw: countFrom(0) },
  events: {
    variable: 'TASKS_EVENTS',
    fallback: DEFAULTS.events,
    flaw: (x) => (eventLevels.includes(x as EventLevel) ? undefined : `must be ${EVENT_LEVELS}`),
  },
  workerEvents: {
    variable: 'TASKS_WORKER_EVENTS',
    fallback: DEFAULTS.workerEvents,
    parse: (text) => (text === 'true' ? true : text === 'false' ? false : text),
    flaw: flag,
  },
  durableWorkerEvents: { fallback: DEFAULTS.durableWorkerEvents, flaw: flag },
  codec: { flaw: (x) => (has(x, 'encode', 'decode') ? undefined : 'must have the functions encode and decode') },
  logger: {
    flaw: (x) =>
      has(x, 'debug', 'info', 'warn', 'error') ? undefined : 'must have the functions debug, info, warn and error',
  },
  adapters: {
    flaw: (x) =>
      isObject(x) && Object.values(x).every((adapter) => has(adapter, 'fromUrl'))
        ? undefined
        : 'must map URL schemes to adapters, which have a function fromUrl',
  },
}

const FIELD_NAMES = Object.keys(FIELDS) as (keyof Config)[]

interface Sources {
  readonly flag: unknown
  readonly flagName: (field: keyof Config) => string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly inFile: unknown
  readonly file: string | undefined
}

function settle(name: keyof Config, { flag, flagName, env, inFile, file }: Sources): Setting<unknown> {
  const { variable, fallback } = FIELDS[name]
  if (flag !== undefined) return said(name, flag, 'flag', flagName(name))
  const text = variable === undefined ? undefined : env[variable]
  // An empty variable is how a shell and a compose file unset one.
  if (text !== undefined && text !== '') return said(name, text, 'environment', variable!)
  if (inFile !== undefined) return said(name, inFile, 'file', file!)
  return { value: fallback, source: 'default', name: undefined }
}

function said(
  field: keyof Config,
  raw: unknown,
  source: 'flag' | 'environment' | 'file',
  name: string,
): Setting<unknown> {
  const { parse, flaw } = FIELDS[field]
  const value = source !== 'file' && typeof raw === 'string' && parse !== undefined ? parse(raw) : raw
  const why = flaw(value)
  if (why === undefined)
    return {
      value: source === 'file' && field === 'tasks' && isText(value) ? resolve(name, '..', value) : value,
      source,
      name,
    }
  const where = source === 'file' ? `${name}: ${field}` : name
  throw new TaskError('TASKS_CONFIG', `${where} ${why}, not ${show(raw)}`, { details: { source, name, field } })
}

function countFrom(least: number): (x: unknown) => string | undefined {
  return (x) =>
    Number.isSafeInteger(x) && (x as number) >= least ? undefined : `must be an integer of at least ${least}`
}

function flag(x: unknown): string | undefined {
  return typeof x === 'boolean' ? undefined : 'must be true or false'
}

function refusal(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    // Of `namespace "a b" must have …, and …`, the rule.
    return /must .*/.exec((error as Error).message)?.[0]
  }
}

function isText(x: unknown): x is string {
  return typeof x === 'string' && x !== ''
}

function isObject(x: unknown): x is Record<string, unknown> {
  return typeof x === 'object' && x !== null && !Array.isArray(x)
}

function has(x: unknown, ...methods: readonly string[]): boolean {
  return (
    ((typeof x === 'object' && x !== null) || typeof x === 'function') &&
    methods.every((name) => typeof (x as Record<string, unknown>)[name] === 'function')
  )
}

function show(x: unknown): string {
  if (typeof x === 'string' || Array.isArray(x)) return JSON.stringify(x)
  return typeof x === 'object' && x !== null ? 'an object' : typeof x === 'function' ? 'a function' : String(x)
}

// ---- The file ------------------------------------------------------------------------------------------------------

async function read(
  file: string,
  load: (path: string) => Promise<unknown>,
): Promise<Readonly<Record<string, unknown>>> {
  const config = exportOf(await load(file).catch((error: unknown) => Promise.reject(unreadable(file, error))))
  if (!isObject(config)) {
    throw new TaskError('TASKS_CONFIG', `${file}: it must export defineConfig({ … }) by default, not ${show(config)}`)
  }
  for (const name of Object.keys(config)) {
    if (name in FIELDS) continue
    throw new TaskError('TASKS_CONFIG', `${file}: there is no setting "${name}"; known: ${FIELD_NAMES.join(', ')}`)
  }
  return config
}

/** A CommonJS module that was compiled from an ES module has its default export one level deeper. */
function exportOf(module: unknown): unknown {
  const first = (module as { readonly default?: unknown }).default
  return isObject(first) && 'default' in first ? first['default'] : first
}

function unreadable(file: string, error: unknown): TaskError {
  if (TaskError.is(error)) return error
  const { code, message } = error as { readonly code?: string; readonly message?: string }
  const why =
    code === 'ERR_UNKNOWN_FILE_EXTENSION' && extname(file) === '.ts'
      ? `Node ${process.version} reads no TypeScript: start it with "node --import tsx" (npm install --save-dev tsx), use Node 22.18 or newer, or write tasks.config.js`
      : `it could not be loaded: ${message ?? String(error)}`
  return new TaskError('TASKS_CONFIG', `${file}: ${why}`, { cause: error, details: { file } })
}

async function importModule(path: string): Promise<unknown> {
  return (await import(pathToFileURL(path).href)) as unknown
}

function existing(file: string): string {
  if (isFile(file)) return file
  throw new TaskError('TASKS_CONFIG', `there is no configuration file ${file}`)
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}
