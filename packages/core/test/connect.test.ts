import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createClient } from '../src/client/client'
import { connect, redactUrl } from '../src/connect'
import { stderrLogger } from '../src/logger'
import { memoryStore, memoryTransport } from '../src/memory'
import { createTasks } from '../src/tasks'
import { startWorker } from '../src/worker/worker'

/** A working directory with this configuration file, and none of the variables of whoever runs the suite. */
function project(config?: string): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tasks-connect-')))
  if (config !== undefined) writeFileSync(join(folder, 'tasks.config.mjs'), config)
  const cwd = vi.spyOn(process, 'cwd').mockReturnValue(folder)
  for (const name of ['TASKS_URL', 'TASKS_NAMESPACE', 'TASKS_CONCURRENCY']) vi.stubEnv(name, '')
  onTestFinished(() => {
    cwd.mockRestore()
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })
  return folder
}

const PIGEON = `{ name: 'pigeon', capabilities: {}, open() {}, async close() {} }`

test('a transport made by hand is passed through, and stays open', async () => {
  const transport = memoryTransport()
  const connection = await connect(transport)
  expect(connection.transport).toBe(transport)
  await connection.close()
  await expect(transport.open({ namespace: 'a' })).resolves.toBeDefined()
  await transport.close()
})

test('without a transport TASKS_URL is taken, then the configuration file', async () => {
  project(
    `export default { transport: 'pigeon:file', adapters: { pigeon: { fromUrl: (url) => ({ ...${PIGEON}, url }) } } }`,
  )
  expect((await connect(undefined)).transport).toMatchObject({ url: 'pigeon:file' })
  vi.stubEnv('TASKS_URL', 'memory:env')
  expect((await connect(undefined)).transport.name).toBe('memory')
})

test('adapters of the program go before those of the file', async () => {
  project(
    `export default { transport: 'pigeon:file', adapters: { pigeon: { fromUrl: () => ({ ...${PIGEON}, of: 'file' }) } } }`,
  )
  const mine = { fromUrl: () => ({ ...memoryTransport(), of: 'program' }) }
  expect((await connect(undefined, { adapters: { pigeon: mine } })).transport).toMatchObject({ of: 'program' })
})

test('what an adapter reports goes to the logger of whoever connects', async () => {
  const logger = stderrLogger()
  const heard: unknown[] = []
  const adapters = {
    pigeon: {
      fromUrl: (_: string, options: { readonly logger?: unknown }) => {
        heard.push(options.logger)
        return memoryTransport()
      },
    },
  }
  const tasks = createTasks({ namespace: 'heard' })
  const one = tasks.bind('one', () => 1)
  const worker = await startWorker({ tasks, transport: 'pigeon:worker', adapters, logger })
  await worker.close()
  const client = createClient({ namespace: 'heard', transport: 'pigeon:client', adapters, logger })
  await client.submit(one.send())
  await client.close()
  expect(heard).toEqual([logger, logger])
})

test('a transport that nobody has named is an error that says where to', async () => {
  project()
  const message =
    'no transport was given: pass one, like "sqlite:./tasks.db", set TASKS_URL, or write a tasks.config.js'
  await expect(connect(undefined)).rejects.toMatchObject({ code: 'TASKS_CONFIG', message })
  const folder = project('export default {}')
  await expect(connect(undefined)).rejects.toMatchObject({
    message: expect.stringContaining(`or say so in ${join(folder, 'tasks.config.mjs')}`) as string,
  })
})

test.each(['carrier:pigeon', 'tasks.db', ''])('%j is no transport, and the error lists the schemes', async (url) => {
  await expect(connect(url)).rejects.toMatchObject({
    code: 'TASKS_UNKNOWN_SCHEME',
    message: `"${url}" is not a transport: its scheme must be one of memory, sqlite, redis, rediss, nats, tls+nats, kafka`,
  })
})

test('a transport whose package is not installed is an error with the command that installs it', async () => {
  await expect(connect('kafka://localhost', { from: [project()] })).rejects.toMatchObject({
    code: 'TASKS_MISSING_PACKAGE',
    message: '"kafka:" needs a package that is not installed: npm install @tasks/transport-kafka kafkajs',
  })
})

test.each([
  ['redis://me:secret@host:6379/0', 'redis://me:***@host:6379/0'],
  ['redis://:secret@host', 'redis://:***@host'],
  ['redis://me:p@ss:word@host', 'redis://me:***@host'],
  ['redis://me@host', 'redis://me@host'],
  ['nats://token@host', 'nats://***@host'],
  ['tls+nats://a:secret@one,b:secret@two', 'tls+nats://a:***@one,b:***@two'],
  ['kafka://one,two?saslPassword=secret&acks=all', 'kafka://one,two?saslPassword=***&acks=all'],
  ['sqlite:./a@b/tasks.db', 'sqlite:./a@b/tasks.db'],
  ['sqlite:./tasks.db?synchronous=normal', 'sqlite:./tasks.db?synchronous=normal'],
])('%s is shown as %s', (url, shown) => {
  expect(redactUrl(url)).toBe(shown)
})

test('workers and clients take adapters of the program', async () => {
  const store = memoryStore()
  const adapters = { pigeon: { fromUrl: () => memoryTransport({ store }) } }
  const tasks = createTasks({ namespace: 'test' })
  const double = tasks.bind('double', (x: number) => 2 * x)
  const worker = await startWorker({ tasks, transport: 'pigeon:loft', adapters })
  const client = createClient({ namespace: 'test', transport: 'pigeon:loft', adapters })
  expect(await (await client.submit(double, 21)).result({ timeoutMs: 10_000 })).toBe(42)
  await client.close()
  await worker.close()
})
