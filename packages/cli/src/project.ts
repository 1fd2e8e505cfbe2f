// What every command begins with: the settings in force, the transport, and a client of the namespace.
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  connect,
  createClient,
  loadConfig,
  redactUrl,
  stderrLogger,
  TaskError,
  type Client,
  type Codec,
  type Config,
  type Connection,
  type LoadedConfig,
  type Logger,
  type Transport,
} from '@tasks/core'
import { importModule, isRegistry, loadTaskModule, type TaskModule } from './task-module'

/** How long owners may take to answer a question: a person waits. */
const ANSWER_MS = 2_000

/** The flags that every command takes. */
export interface CommonFlags {
  readonly transport?: string
  readonly namespace?: string
  readonly config?: string
  readonly module?: string
  readonly verbose?: boolean
}

/** What a worker takes beside: texts, as they were typed. */
export interface WorkerFlags extends CommonFlags {
  readonly concurrency?: string
  readonly queues?: string
  readonly leaseMs?: string
  readonly drainMs?: string
}

export class Project {
  readonly config: LoadedConfig
  readonly #flags: CommonFlags
  readonly #cwd: string
  #module: Promise<TaskModule | undefined> | undefined

  /** @param flags of one command: those that are settings go before the environment and the file */
  static async load(flags: WorkerFlags, cwd: string = process.cwd()): Promise<Project> {
    const { config: file, module: tasks, transport, namespace, concurrency, queues, leaseMs, drainMs } = flags
    const settings = { transport, namespace, tasks, concurrency, queues, leaseMs, drainMs }
    const config = await loadConfig({
      cwd,
      ...(file === undefined ? {} : { file }),
      flags: settings,
      flagName: flagOf,
      load: importModule,
    })
    return new Project(config, flags, cwd)
  }

  private constructor(config: LoadedConfig, flags: CommonFlags, cwd: string) {
    this.config = config
    this.#flags = flags
    this.#cwd = cwd
  }

  /** The module that is named by flag, environment or file; or the registry that the file holds. */
  module(): Promise<TaskModule | undefined> {
    return (this.#module ??= this.#loadModule())
  }

  async #loadModule(): Promise<TaskModule | undefined> {
    const { value } = this.config.settings.tasks
    if (value === undefined) return undefined
    if (typeof value === 'string') return loadTaskModule(value, this.#cwd)
    if (!isRegistry(value)) throw new TaskError('TASKS_CONFIG', `${this.config.file}: tasks is not a registry`)
    return { path: this.config.file!, tasks: value, exports: {} }
  }

  /** @throws TaskError TASKS_CONFIG if there is none */
  async requireModule(): Promise<TaskModule> {
    const module = await this.module()
    if (module !== undefined) return module
    throw new TaskError(
      'TASKS_CONFIG',
      'which tasks? Name their module: --module ./tasks.ts, TASKS_MODULE, or tasks in tasks.config.ts',
    )
  }

  /**
   * The namespace in force. That of the module counts where none is set; where both are, they must agree. A module that
   * the command has no use for is not loaded for it.
   * @throws TaskError TASKS_CONFIG if there is none, or there are two
   */
  async namespace(): Promise<string> {
    const { value, name, source } = this.config.settings.namespace
    if (value !== undefined && this.#module === undefined) return value
    const namespace = (await this.module())?.tasks.namespace
    if (value === undefined) {
      if (namespace !== undefined) return namespace
      throw new TaskError(
        'TASKS_CONFIG',
        'which namespace? Name it: --namespace, TASKS_NAMESPACE, or namespace in tasks.config.ts; or --module, whose registry has one',
      )
    }
    if (namespace !== undefined && namespace !== value) {
      throw new TaskError(
        'TASKS_CONFIG',
        `the namespace is "${value}" (${name ?? source}), but the tasks are of "${namespace}"`,
      )
    }
    return value
  }

  logger(): Logger {
    return this.config.settings.logger.value ?? stderrLogger({ verbose: this.#flags.verbose === true })
  }

  /** As an option: how the tasks of the project encode their values. */
  codec(): { readonly codec?: Codec } {
    const { value } = this.config.settings.codec
    return value === undefined ? {} : { codec: value }
  }

  /**
   * Opens the transport. With `existing` nothing is created: a mistyped path is an error, not an empty store.
   * @throws TaskError TASKS_CONFIG if none is set; TASKS_UNSUPPORTED if what is there ends with this command
   */
  async connect(mode: 'create' | 'existing'): Promise<Connection> {
    const { transport, adapters } = this.config.settings
    if (transport.value === undefined) {
      throw new TaskError(
        'TASKS_CONFIG',
        'which transport? Name it: --transport sqlite:./tasks.db, TASKS_URL, or transport in tasks.config.ts',
      )
    }
    const { transport: opened, close } = await connect(transport.value, {
      ...(adapters.value === undefined ? {} : { adapters: adapters.value }),
      from: this.folders(),
    })
    if (opened.capabilities.shared) return { transport: mode === 'existing' ? existingOnly(opened) : opened, close }
    await close()
    throw new TaskError(
      'TASKS_UNSUPPORTED',
      `${showTransport(transport.value)} is seen by this process only, and is gone with it: take another transport`,
    )
  }

  /**
   * Where packages of the user are looked for: the working directory, then beside the configuration, the module, and
   * this command.
   */
  folders(): readonly string[] {
    const { value } = this.config.settings.tasks
    const module = typeof value === 'string' ? resolve(this.#cwd, value) : undefined
    const files = [this.config.file, module, fileURLToPath(import.meta.url)]
    return [this.#cwd, ...files.filter((file) => file !== undefined).map((file) => dirname(file))]
  }

  /** Calls `use` with a client, and closes everything after it. */
  async withClient<Result>(mode: 'create' | 'existing', use: (client: Client) => Promise<Result>): Promise<Result> {
    const namespace = await this.namespace()
    const connection = await this.connect(mode)
    const client = createClient({
      transport: connection.transport,
      namespace,
      logger: this.logger(),
      ...this.codec(),
      answerMs: ANSWER_MS,
    })
    try {
      return await use(client)
    } finally {
      await client.close()
      await connection.close()
    }
  }
}

/** How a transport is shown. */
export function showTransport(transport: string | Transport): string {
  return typeof transport === 'string' ? redactUrl(transport) : `${transport.name}: (made in the configuration file)`
}

/** `leaseMs` is `--lease-ms`, `tasks` is `--module`: it names one there. */
function flagOf(field: keyof Config): string {
  return field === 'tasks' ? '--module' : `--${field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

function existingOnly(transport: Transport): Transport {
  return {
    get name() {
      return transport.name
    },
    get capabilities() {
      return transport.capabilities
    },
    open: (options) => transport.open({ ...options, provision: 'verify' }),
    close: () => transport.close(),
  }
}
