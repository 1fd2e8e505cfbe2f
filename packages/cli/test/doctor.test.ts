import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { documentOf, place } from './support/command'

interface Report {
  readonly ok: boolean
  readonly configFile: string | null
  readonly versions: Readonly<Record<string, string>>
  readonly settings: readonly {
    readonly name: string
    readonly value: unknown
    readonly source: string
    readonly from?: string
  }[]
  readonly checks: readonly { readonly name: string; readonly verdict: string; readonly message: string }[]
  readonly capabilities?: { readonly durability: string }
  readonly partitions?: number
}

test('with a worker up all is well: reached, safe, owners answer, nothing waits', async () => {
  const { run, worker, module } = place()
  await worker()
  const ended = await run('doctor', '--module', module('tasks.ts'), '--json')
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  const report = documentOf(ended) as unknown as Report
  expect(report).toMatchObject({ ok: true, configFile: null, partitions: 16, capabilities: { durability: 'fsync' } })
  expect(Object.keys(report.versions)).toEqual(['node', '@tasks/cli', '@tasks/core', '@tasks/transport-sqlite'])
  expect(report.checks.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
    'tasks ok',
    'namespace ok',
    'transport ok',
    'safety ok',
    'store ok',
    'owners ok',
    'queue default ok',
    'dead letters ok',
  ])
  expect(report.checks.find(({ name }) => name === 'owners')!.message).toMatch(/^16 of 16 partitions answered/)
})

test('each setting is printed with where it came from', async () => {
  const { run, folder, url } = place({ env: { TASKS_CONCURRENCY: '7' } })
  writeFileSync(join(folder, 'tasks.config.mjs'), `export default { namespace: 'file', leaseMs: 700, drainMs: 800 }`)
  const report = documentOf(
    await run('doctor', '--json', '--transport', `${url}?synchronous=normal`),
  ) as unknown as Report
  expect(report.configFile).toBe(join(folder, 'tasks.config.mjs'))
  const settings = Object.fromEntries(
    report.settings.map(({ name, value, source, from }) => [name, [value, source, from]]),
  )
  expect(settings).toMatchObject({
    transport: [`${url}?synchronous=normal`, 'flag', '--transport'],
    namespace: ['cli', 'environment', 'TASKS_NAMESPACE'],
    concurrency: [7, 'environment', 'TASKS_CONCURRENCY'],
    leaseMs: [700, 'file', report.configFile],
    queues: [null, 'default', undefined],
  })
  const { stdout } = await run('doctor')
  expect(stdout).toMatch(/^concurrency +7  \(environment TASKS_CONCURRENCY\)$/m)
  expect(stdout).toMatch(/^drainMs +800  \(file .*tasks\.config\.mjs\)$/m)
})

test('a namespace that only the module says is shown with it', async () => {
  const { run, module } = place({ env: { TASKS_NAMESPACE: '' } })
  const ended = await run('doctor', '--json', '--module', module('tasks.ts'))
  const { settings } = documentOf(ended) as unknown as Report
  expect(settings.find(({ name }) => name === 'namespace')).toEqual({
    name: 'namespace',
    value: 'cli',
    source: 'module',
    from: module('tasks.ts'),
  })
})

test('without a worker it warns; a store that is not there is a problem', async () => {
  const { run, url } = place()
  const missing = await run('doctor', '--json')
  expect(missing.code).toBe(3)
  expect(documentOf(missing)).toMatchObject({ ok: false })
  await run('submit', 'add', '1', '2')
  const alone = await run('doctor', '--answer-ms', '300', '--transport', `${url}?synchronous=normal`)
  expect(alone.code).toBe(0)
  expect(alone.stdout).toMatch(
    /^! safety +durability "process": survives the death of a process; a power cut may lose the last commits$/m,
  )
  expect(alone.stdout).toMatch(
    /^! owners +no owner answered within 300 ms: is a worker up\? What was submitted since one was waits unseen$/m,
  )
  const list = await run('list')
  expect(list).toMatchObject({ code: 0, stdout: '' })
  expect(list.stderr).toBe('no pipelines that an owner has taken; 0 of 16 answer\n')
  expect(await run('list', '--json')).toMatchObject({ code: 0, stderr: '' })
})

test('what is wrong is told, and the other checks go on', async () => {
  const { run, module } = place()
  const { code, stdout } = await run(
    'doctor',
    '--module',
    module('throws.ts'),
    '--transport',
    'sqlite:/nowhere/tasks.db',
    '--namespace',
    'cli',
  )
  expect(stdout).toMatch(/^✗ tasks .*could not be loaded: the secret is missing \(TASKS_CONFIG\)$/m)
  expect(stdout).toMatch(/^✗ store .*the folder \/nowhere does not exist/m)
  expect(code).toBe(2)
})

test('a password is not printed', async () => {
  const { run } = place()
  const { stdout, stderr } = await run('doctor', '--transport', 'redis://me:secret@localhost')
  expect(stdout).toContain('redis://me:***@localhost')
  expect(stdout + stderr).not.toContain('secret')
})
