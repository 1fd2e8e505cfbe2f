import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { exitCodeMeanings } from '../src/exit-codes'
import { documentOf, place } from './support/command'

test('--help lists every command and every exit code, --version the version', async () => {
  const { run } = place()
  const { code, stdout, stderr } = await run('--help')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const commands = 'worker submit status show result list pause resume cancel retry delete events dlq graph doctor help'
  const [, listed = ''] = /^Commands:\n((?: .*\n)+)/m.exec(stdout) ?? []
  expect([...listed.matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name)).toEqual(commands.split(' '))
  for (const [exitCode, meaning] of exitCodeMeanings)
    expect(stdout).toContain(`  ${String(exitCode).padEnd(5)}${meaning}`)
  expect((await run('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  expect((await run('submit', '--help')).stdout).toContain('--on-duplicate')
})

test.each<[words: string[], message: RegExp]>([
  [['wroker'], /^tasks: unknown command 'wroker'\n\(Did you mean worker\?\)\n$/],
  [['dlq', 'shwo', 'x'], /unknown command 'shwo'\n\(Did you mean show\?\)/],
  [['list', '--limt', '3'], /^tasks: unknown option '--limt'\n\(Did you mean --limit\?\)\n$/],
  [['status'], /^tasks: missing required argument 'id'\n$/],
  [['cancel', 'x', '--grace', 'soon'], /--grace must be a duration like 500ms, 30s or 5m, not "soon"/],
  [['pause'], /^tasks: missing required argument 'id'\n$/],
  [['status', 'a', 'b'], /too many arguments for 'status'. Expected 1 argument but got 2/],
  [['list', '--transport'], /option '-t, --transport <url>' argument missing/],
  [['list', '--limit', 'many'], /--limit must be an integer of at least 1, not "many"/],
  [
    ['list', '--status', 'DONE'],
    /--status must be one of RUNNING, PAUSED, CANCELLING, COMPLETED, FAILED, CANCELLED, not "DONE"/,
  ],
  [['list', '--since', 'soon'], /--since must be like 30m, 2h, 1d or .*, not "soon"/],
  [
    ['list', '--transport', 'carrier:pigeon'],
    /"carrier:pigeon" is not a transport: its scheme must be one of memory, sqlite/,
  ],
  [
    ['list', '--transport', 'nats://localhost'],
    /"nats:" needs a package that is not installed: npm install @tasks\/transport-nats/,
  ],
  [['list', '--namespace', 'a b'], /--namespace must have 1 to 64 letters/],
  [['list', '--config', 'other.js'], /there is no configuration file .*other\.js/],
  [['result', 'x', '--timeout', 'soon'], /--timeout must be a duration like 500ms, 30s or 5m, not "soon"/],
  [['status', 'x'.repeat(257)], /pipeline id .* must have at most 256 bytes, not 257/],
  [['submit', 'add', 'one'], /argument 1 is not JSON: one; for a string write '"one"'/],
  [['submit', 'add', '1', '--timeout', '1s'], /--timeout needs --wait/],
  [['submit', 'add', '1', '--meta', '[1]'], /--meta must be a JSON object, not \[1\]/],
  [['submit', 'add', '1', '--id', ''], /pipeline id "" must not be empty/],
  [['submit', 'add', '1', '--on-duplicate', 'ignore'], /--on-duplicate must be return, reject, restart, not "ignore"/],
  [['dlq', 'drop'], /dlq drop takes either ids or --all/],
  [['dlq', 'redrive', 'x', '--all'], /dlq redrive takes either ids or --all/],
  [['graph'], /graph takes either a name or --definition/],
  [['doctor', '--answer-ms', 'x'], /--answer-ms must be a number above 0, not "x"/],
  [['worker', '--role', 'boss'], /--role must be owner or worker, not "boss"/],
  [['worker', '--concurrency', '0'], /--concurrency must be an integer of at least 1, not "0"/],
  [['worker'], /which tasks\? Name their module/],
])('%j is refused with what is wrong', async (words, message) => {
  const { run } = place()
  const { code, stdout, stderr } = await run(...words)
  expect(stderr).toMatch(message)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
})

test('with --json what is wrong is a document on stdout, and stderr is silent', async () => {
  const { run } = place()
  for (const words of [
    ['wroker'],
    ['list', '--limt'],
    ['list', '--limit', 'many'],
    ['submit', 'add', 'one'],
    ['dlq'],
  ]) {
    const ended = await run(...words, '--json')
    expect(ended).toMatchObject({ code: 2, stderr: '' })
    expect(documentOf(ended)).toEqual({
      error: expect.objectContaining({
        code: expect.stringMatching(/^TASKS_/) as string,
        message: expect.any(String) as string,
      }) as unknown,
    })
  }
})

test('without a command, or half of one, the help is on stderr', async () => {
  const { run } = place()
  for (const words of [[], ['dlq']]) {
    const { code, stdout, stderr } = await run(...words)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('Usage: tasks')
  }
})

test('a transport and a namespace have to come from somewhere', async () => {
  const { run } = place({ env: { TASKS_URL: '', TASKS_NAMESPACE: '' } })
  expect((await run('list')).stderr).toContain('which namespace? Name it: --namespace, TASKS_NAMESPACE')
  const { code, stderr } = await run('list', '--namespace', 'cli')
  expect(stderr).toContain('which transport? Name it: --transport sqlite:./tasks.db, TASKS_URL')
  expect(code).toBe(2)
})

test('a namespace that is not the one of the tasks is refused', async () => {
  const { run, module } = place()
  const { code, stderr } = await run('submit', 'add', '1', '2', '-m', module('tasks.ts'), '--namespace', 'other')
  expect(stderr).toContain('the namespace is "other" (--namespace), but the tasks are of "cli"')
  expect(code).toBe(2)
})

test('a broken configuration file is named with its field', async () => {
  const { run, folder } = place()
  writeFileSync(join(folder, 'tasks.config.mjs'), 'export default { concurrency: -1 }')
  const { code, stderr } = await run('list')
  expect(stderr).toMatch(/tasks\.config\.mjs: concurrency must be an integer of at least 1, not -1 \(TASKS_CONFIG\)/)
  expect(code).toBe(2)
})

test('a task that the module does not have is exit code 3, with those that it has', async () => {
  const { run, module } = place()
  const { code, stderr } = await run('submit', 'ad', '1', '-m', module('tasks.ts'))
  expect(stderr).toContain(
    'has no task or exported pipeline "ad"; known: tasks add, double, fail, slow, held, heldTwice, odd, doubles, half, halves; pipelines sum',
  )
  expect(code).toBe(3)
  expect((await run('submit', 'sum', '1', '-m', module('tasks.ts'))).stderr).toContain(
    '"sum" is a pipeline, which has its arguments already',
  )
})

test('a folder that does not exist is exit code 3, a store of somebody else 5', async () => {
  const { run, folder } = place()
  const missing = await run('submit', 'add', '1', '--transport', 'sqlite:./nowhere/tasks.db')
  expect(missing.stderr).toMatch(/the folder .*nowhere does not exist/)
  expect(missing.code).toBe(3)
  writeFileSync(join(folder, 'text.db'), 'this is not a database, by any means'.repeat(40))
  const foreign = await run('list', '--transport', 'sqlite:./text.db')
  expect(foreign.stderr).toMatch(/text\.db/)
  expect(foreign.code).toBe(5)
})

test('a transport that no other process sees is refused by what would be lost with it', async () => {
  const { run, module } = place()
  for (const words of [['submit', 'add', '1', '2'], ['worker', module('tasks.ts')], ['list']]) {
    const { code, stderr, stdout } = await run(...words, '--transport', 'memory:')
    expect(stderr).toContain('memory: is seen by this process only, and is gone with it')
    expect({ code, stdout }).toEqual({ code: 5, stdout: '' })
  }
})
