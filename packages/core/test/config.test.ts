import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { defineConfig, findConfig, loadConfig, type LoadConfigOptions } from '../src/config'
import { TaskError } from '../src/errors'

function folder(files: Readonly<Record<string, string>> = {}): string {
  const path = mkdtempSync(join(tmpdir(), 'tasks-config-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return path
}

async function refusal(options: LoadConfigOptions): Promise<TaskError> {
  const error = await loadConfig({ env: {}, ...options }).then(
    () => undefined,
    (e: unknown) => e,
  )
  if (!TaskError.is(error)) throw new Error(`not a TaskError: ${String(error)}`)
  expect(error.code).toBe('TASKS_CONFIG')
  return error
}

const FILE = 'tasks.config.mjs'
const exporting = (text: string): Record<string, string> => ({ [FILE]: `export default ${text}` })

test('a flag wins over the environment, that over the file, that over the default, and each setting says which it was', async () => {
  const cwd = folder(exporting(`{ transport: 'sqlite:./file.db', namespace: 'file', concurrency: 3, leaseMs: 700 }`))
  const { file, settings } = await loadConfig({
    cwd,
    flags: { transport: 'memory:' },
    env: { TASKS_URL: 'sqlite:./env.db', TASKS_NAMESPACE: 'env', TASKS_CONCURRENCY: '7' },
  })
  expect(file).toBe(join(cwd, FILE))
  expect(settings.transport).toEqual({ value: 'memory:', source: 'flag', name: 'transport' })
  expect(settings.namespace).toEqual({ value: 'env', source: 'environment', name: 'TASKS_NAMESPACE' })
  expect(settings.concurrency).toEqual({ value: 7, source: 'environment', name: 'TASKS_CONCURRENCY' })
  expect(settings.leaseMs).toEqual({ value: 700, source: 'file', name: file })
  expect(settings.drainMs).toEqual({ value: 10_000, source: 'default', name: undefined })
})

test('without a file and an environment everything is its default', async () => {
  const { file, settings } = await loadConfig({ cwd: folder(), env: {} })
  expect(file).toBeUndefined()
  expect(Object.values(settings).map(({ source }) => source)).toEqual(Array(15).fill('default'))
  expect(settings.concurrency.value).toBe(10)
  expect(settings.transport.value).toBeUndefined()
})

test('an empty variable says nothing', async () => {
  const { settings } = await loadConfig({ cwd: folder(), env: { TASKS_URL: '', TASKS_CONCURRENCY: '' } })
  expect(settings.transport.source).toBe('default')
  expect(settings.concurrency.value).toBe(10)
})

test('text of flags is read as the environment is', async () => {
  const { settings } = await loadConfig({
    flagName: (field) => `--my-${field}`,
    cwd: folder(),
    env: {},
    flags: { concurrency: '4', queues: 'a, b', leaseMs: '900' },
  })
  expect(settings.concurrency.value).toBe(4)
  expect(settings.queues.value).toEqual(['a', 'b'])
  expect(settings.leaseMs).toEqual({ value: 900, source: 'flag', name: '--my-leaseMs' })
  const asked = await loadConfig({ cwd: folder(), env: { TASKS_WORKER_EVENTS: 'true' } })
  expect(asked.settings.workerEvents).toMatchObject({ value: true, source: 'environment' })
  await expect(loadConfig({ cwd: folder(), env: { TASKS_WORKER_EVENTS: 'yes' } })).rejects.toThrow(
    'TASKS_WORKER_EVENTS must be true or false, not "yes"',
  )
})

test('the path of a task module is relative to the file that names it', async () => {
  const cwd = folder(exporting(`{ tasks: './src/tasks.js' }`))
  expect((await loadConfig({ cwd, env: {} })).settings.tasks.value).toBe(join(cwd, 'src/tasks.js'))
})

test('findConfig looks in the folder only, and refuses two files', () => {
  expect(findConfig(folder())).toBeUndefined()
  const one = folder({ 'tasks.config.js': '' })
  expect(findConfig(one)).toBe(join(one, 'tasks.config.js'))
  expect(() => findConfig(folder({ 'tasks.config.js': '', 'tasks.config.ts': '' }))).toThrow(
    /there are both .*config\.ts and .*config\.js: remove one/,
  )
})

test('defineConfig gives the object back', () => {
  const config = { namespace: 'shop' }
  expect(defineConfig(config)).toBe(config)
})

test.each([
  [
    `{ concurency: 3 }`,
    /tasks\.config\.mjs: there is no setting "concurency"; known: transport, namespace, tasks, concurrency/,
  ],
  [`{ concurrency: 0 }`, /tasks\.config\.mjs: concurrency must be an integer of at least 1, not 0/],
  [`{ durableWorkerEvents: 1 }`, /tasks\.config\.mjs: durableWorkerEvents must be true or false, not 1/],
  [`{ concurrency: '3' }`, /tasks\.config\.mjs: concurrency must be an integer of at least 1, not "3"/],
  [`{ namespace: 'a b' }`, /tasks\.config\.mjs: namespace must have 1 to 64 .*, not "a b"/],
  [`{ transport: 7 }`, /tasks\.config\.mjs: transport must be a URL, .*, not 7/],
  [`{ queues: ['a b'] }`, /tasks\.config\.mjs: queues must have 1 to 128 .*, not \["a b"\]/],
  [`{ logger: console.log }`, /tasks\.config\.mjs: logger must have the functions debug, info, warn and error/],
  [`{ adapters: { x: {} } }`, /tasks\.config\.mjs: adapters must map URL schemes to adapters/],
  [`{ tasks: {} }`, /tasks\.config\.mjs: tasks must be what createTasks\(\) gives/],
  [`'sqlite:./tasks.db'`, /tasks\.config\.mjs: it must export defineConfig\(\{ … \}\) by default, not "sqlite/],
])('%s is refused with the file and the field', async (text, message) => {
  expect((await refusal({ cwd: folder(exporting(text)) })).message).toMatch(message)
})

test('a bad variable and a bad flag are refused by their names', async () => {
  const cwd = folder()
  expect((await refusal({ cwd, env: { TASKS_CONCURRENCY: 'many' } })).message).toBe(
    'TASKS_CONCURRENCY must be an integer of at least 1, not "many"',
  )
  expect((await refusal({ cwd, flags: { namespace: '' } })).message).toMatch(/^namespace must have 1 to 64/)
  expect((await refusal({ cwd, flags: { tasks: 7 as never } })).message).toMatch(/^tasks must be/)
})

test('a file that throws is refused with its message, and one that is named but missing by its path', async () => {
  const cwd = folder({ [FILE]: `throw new Error('no such secret')` })
  expect((await refusal({ cwd })).message).toMatch(/tasks\.config\.mjs: it could not be loaded: no such secret/)
  expect((await refusal({ cwd, file: 'other.js' })).message).toBe(
    `there is no configuration file ${join(cwd, 'other.js')}`,
  )
})

test('a TypeScript file that this Node cannot read is refused with what to do', async () => {
  const cwd = folder({ 'tasks.config.ts': 'export default {}' })
  const load = () =>
    Promise.reject(Object.assign(new TypeError('Unknown file extension ".ts"'), { code: 'ERR_UNKNOWN_FILE_EXTENSION' }))
  expect((await refusal({ cwd, load })).message).toMatch(
    /tasks\.config\.ts: Node v\S+ reads no TypeScript: start it with "node --import tsx"/,
  )
})
