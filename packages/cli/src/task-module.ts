// The user's module of tasks. TypeScript is read by Node itself where it can (22.18 and newer), else by the tsx of the
// user's project.
import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isPipeline, TaskError, type Submittable, type Tasks } from '@tasks/core'

export interface TaskModule {
  readonly path: string
  readonly tasks: Tasks
  readonly exports: Readonly<Record<string, unknown>>
}

/**
 * Imports a module that exports a registry, as `tasks` or by default.
 * @throws TaskError TASKS_CONFIG if it is missing, does not load or exports none
 */
export async function loadTaskModule(given: string, cwd: string): Promise<TaskModule> {
  const path = resolve(cwd, given)
  if (!(statSync(path, { throwIfNoEntry: false })?.isFile() ?? false))
    throw new TaskError('TASKS_CONFIG', `there is no module ${path}`)
  const exports = flatten(await importModule(path))
  const tasks = [exports['tasks'], exports['default']].find(isRegistry)
  if (tasks === undefined) {
    const names = Object.keys(exports).join(', ') || 'nothing'
    throw new TaskError(
      'TASKS_CONFIG',
      `${path} must export its registry, as "tasks" or by default: export const tasks = createTasks({ … }); it exports ${names}`,
    )
  }
  return { path, tasks, exports }
}

/** Imports a file, TypeScript included. */
export async function importModule(path: string): Promise<Readonly<Record<string, unknown>>> {
  if (/^\.[cm]?tsx?$/.test(extname(path))) await readTypeScript(path)
  try {
    return (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>
  } catch (cause) {
    throw TaskError.is(cause)
      ? cause
      : new TaskError(
          'TASKS_CONFIG',
          `${path} could not be loaded: ${cause instanceof Error ? cause.message : String(cause)}${hint(path, cause)}`,
          { cause },
        )
  }
}

let reading: Promise<void> | undefined

function readTypeScript(path: string): Promise<void> {
  // A loader is at work: tsx under `node --import tsx`, or Node's own.
  const loaded = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].some((flag) => /\btsx\b/.test(flag))
  if (loaded || (process.features as { readonly typescript?: string | false }).typescript) return Promise.resolve()
  return (reading ??= registerTsx(path))
}

async function registerTsx(path: string): Promise<void> {
  const folders = [dirname(path), process.cwd(), dirname(fileURLToPath(import.meta.url))]
  for (const folder of folders) {
    let tsx: string
    try {
      tsx = createRequire(join(folder, 'noop.js')).resolve('tsx')
    } catch {
      continue
    }
    // What `node --import tsx` does: hooks for both kinds of modules, without a namespace, so that the user's modules
    // get the same @tasks/core as this command. (`tsx/esm/api` cannot be had here: what `require` resolves is its
    // CommonJS form, which misses its hooks.)
    await import(pathToFileURL(tsx).href)
    return
  }
  throw new TaskError(
    'TASKS_CONFIG',
    `${path}: Node ${process.version} reads no TypeScript: npm install --save-dev tsx, use Node 22.18 or newer, or compile it`,
  )
}

function hint(path: string, cause: unknown): string {
  const { code } = cause as { readonly code?: string }
  if (extname(path) === '.js' || (code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX' && code !== 'ERR_MODULE_NOT_FOUND'))
    return ''
  return '. Node itself reads plain types only, and imports need their extensions; for the rest: NODE_OPTIONS=--import=tsx'
}

/** A CommonJS module arrives as its default export; its parts are what is looked for. */
function flatten(module: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const inner = module['default']
  return typeof inner === 'object' && inner !== null && !isRegistry(inner) ? { ...inner, ...module } : module
}

/** By its methods: the module may have another copy of core. */
export function isRegistry(x: unknown): x is Tasks {
  if (typeof x !== 'object' || x === null) return false
  const { namespace, bind, find, names } = x as Partial<Tasks>
  return (
    typeof namespace === 'string' &&
    typeof bind === 'function' &&
    typeof find === 'function' &&
    typeof names === 'function'
  )
}

/** A task as a pipeline of one entry; or, if no task has that name, the pipeline that the module exports under it. */
export function workOf(
  { tasks, exports, path }: TaskModule,
  name: string,
  args: readonly unknown[],
): Submittable<unknown, never> {
  const task = tasks.find(name)
  if (task !== undefined) return task.send(...args)
  const exported = exports[name]
  if (isPipeline(exported)) {
    if (args.length > 0)
      throw new TaskError('TASKS_ARGUMENTS', `"${name}" is a pipeline, which has its arguments already`)
    return exported
  }
  const pipelines = Object.keys(exports).filter((key) => isPipeline(exports[key]))
  const known = [
    `tasks ${tasks.names().join(', ') || 'none'}`,
    ...(pipelines.length > 0 ? [`pipelines ${pipelines.join(', ')}`] : []),
  ]
  throw new TaskError(
    'TASKS_UNKNOWN_TASK',
    `${path} has no task or exported pipeline "${name}"; known: ${known.join('; ')}`,
  )
}
