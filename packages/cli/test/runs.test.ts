import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { documentOf, eventually, place } from './support/command'

test('submit prints the id, result its result, status and list where it stands', async () => {
  const { run, worker, module } = place()
  await worker()
  const submitted = await run('submit', 'add', '1', '2', '--module', module('tasks.ts'))
  expect(submitted).toMatchObject({ code: 0, stderr: '' })
  const id = submitted.stdout.trim()
  expect(id).toMatch(/^\w{20}$/)
  expect(await run('result', id)).toEqual({ code: 0, stdout: '3\n', stderr: '' })
  const status = await run('status', id)
  expect(status.code).toBe(0)
  expect(status.stdout).toMatch(
    new RegExp(
      `id +${id}\nstatus +COMPLETED\ntasks +1 of 1 done, 1 attempts\ncreated +\\S+Z\nfinished +\\S+Z \\(after .*\\)`,
    ),
  )
  const list = await run('list')
  expect(list.stdout).toMatch(new RegExp(`^ID .*\n${id} +add +COMPLETED +1/1`))
})

test('submit --wait prints the result; without a module the name is sent as it is', async () => {
  const { run, worker } = place()
  await worker()
  const { code, stdout } = await run('submit', 'add', '-1', '2.5', '--wait', '--timeout', '20s')
  expect({ code, stdout }).toEqual({ code: 0, stdout: '1.5\n' })
})

test('submit takes an exported pipeline, and a task that returns one', async () => {
  const { run, worker, module } = place({ env: {} })
  await worker()
  expect(documentOf(await run('submit', 'sum', '-m', module('tasks.ts'), '--wait', '--json'))).toMatchObject({
    status: 'COMPLETED',
    result: 6,
  })
  expect(
    documentOf(await run('submit', 'doubles', '[1,2,3]', '-m', module('tasks.ts'), '--wait', '--json')),
  ).toMatchObject({ result: [2, 4, 6] })
})

test('an id is submitted once, and another definition under it is refused', async () => {
  const { run, worker } = place()
  await worker()
  expect(documentOf(await run('submit', 'add', '1', '2', '--id', 'a b', '--wait', '--json'))).toEqual({
    id: 'a b',
    status: 'COMPLETED',
    result: 3,
  })
  expect(documentOf(await run('submit', 'add', '1', '2', '--id', 'a b', '--wait', '--json'))).toMatchObject({
    result: 3,
  })
  const other = await run('submit', 'add', '1', '3', '--id', 'a b', '--json')
  expect(other.code).toBe(5)
  expect(documentOf(other)).toMatchObject({ error: { code: 'TASKS_ID_CONFLICT' } })
  expect((await run('submit', 'add', '1', '2', '--id', 'a b', '--on-duplicate', 'reject')).code).toBe(5)
  expect(documentOf(await run('status', 'a b', '--json'))).toMatchObject({ attempts: 1 })
})

test('--meta and --delay travel with the pipeline', async () => {
  const { run, worker } = place()
  await worker()
  expect((await run('submit', 'add', '1', '2', '--id', 'later', '--meta', '{"by":"me"}', '--delay', '1h')).code).toBe(0)
  const status = await eventually('an owner has it', async () => {
    const { code, stdout } = await run('status', 'later', '--json')
    return code === 0 ? (JSON.parse(stdout) as unknown) : undefined
  })
  expect(status).toMatchObject({ status: 'RUNNING', done: 0, attempts: 0, meta: { by: 'me' } })
})

test('a failed run is exit code 1, with the error of the task', async () => {
  const { run, worker } = place()
  await worker()
  const failed = await run('submit', 'fail', '"no luck"', '--id', 'f', '--wait', '--json')
  expect(failed.code).toBe(1)
  expect(documentOf(failed)).toMatchObject({
    id: 'f',
    status: 'FAILED',
    error: {
      code: 'TASKS_TASK_FAILED',
      name: 'RangeError',
      message: 'no luck',
      task: { name: 'fail', id: 'f/0', attempt: 1 },
      stack: expect.stringContaining('tasks.ts') as string,
    },
  })
  const told = await run('result', 'f')
  expect(told).toMatchObject({ code: 1, stdout: '' })
  expect(told.stderr).toContain('FAILED  f\ntask fail (f/0), attempt 1\nTASKS_TASK_FAILED: no luck\n')
  const status = await run('status', 'f')
  expect(status.code).toBe(0)
  expect(status.stdout).toContain('FAILED')
})

test('values that JSON does not know are printed as well as can be', async () => {
  const { run, worker } = place()
  await worker()
  const { stdout } = await run('submit', 'odd', '--wait')
  expect(JSON.parse(stdout)).toEqual({
    at: '1970-01-01T00:00:00.000Z',
    big: '12',
    tags: ['a'],
    by: [['k', 1]],
    nan: 'NaN',
  })
})

test('what no worker has taken is neither found nor denied, and found once one is up', async () => {
  const { run, worker } = place()
  expect((await run('submit', 'add', '1', '2', '--id', 'early')).code).toBe(0)
  const status = await run('status', 'early')
  expect(status.code).toBe(4)
  expect(status.stderr).toContain('if it was submitted, it starts when a worker is up (TASKS_UNAVAILABLE)')
  const waited = await run('result', 'early', '--timeout', '300ms')
  expect(waited.code).toBe(4)
  expect(waited.stderr).toContain(
    'is a worker of this namespace up? It is stored and goes on when one is (TASKS_RESULT_TIMEOUT)',
  )
  await worker()
  expect(await run('result', 'early', '--timeout', '20s')).toMatchObject({ code: 0, stdout: '3\n' })
})

test('a result of long ago needs no worker', async () => {
  const { run, worker } = place()
  const first = await worker()
  await run('submit', 'add', '1', '2', '--id', 'old', '--wait')
  first.signal('SIGTERM')
  expect((await first.ended).code).toBe(0)
  expect(await run('result', 'old')).toMatchObject({ code: 0, stdout: '3\n' })
  expect(documentOf(await run('list', '--status', 'completed', '--json'))).toMatchObject({ pipelines: [{ id: 'old' }] })
  expect(documentOf(await run('list', '--name', 'add', '--since', '1h', '--json'))).toMatchObject({
    pipelines: [{ id: 'old', name: 'add' }],
  })
  for (const words of [
    ['--status', 'FAILED'],
    ['--name', 'double'],
    ['--since', '2100-01-01'],
    ['--after', 'old'],
  ])
    expect(documentOf(await run('list', ...words, '--json'))).toEqual({ pipelines: [], incomplete: false })
})

test('an id that does not exist is exit code 3 where owners answer, for status and result', async () => {
  const { run, worker } = place()
  await worker()
  for (const command of ['status', 'result']) {
    const { code, stderr } = await run(command, 'nobody')
    expect(stderr).toContain('there is no pipeline "nobody": it was never submitted')
    expect(code).toBe(3)
  }
})

test('a mistyped store is not created by asking', async () => {
  const { run, folder } = place()
  for (const words of [['list'], ['status', 'x'], ['result', 'x'], ['dlq', 'ls'], ['doctor']]) {
    const { code, stderr, stdout } = await run(...words, '--transport', 'sqlite:./typo.db')
    expect(stderr + stdout).toContain('typo.db: there is no such store')
    expect(code).toBe(3)
  }
  expect(existsSync(join(folder, 'typo.db'))).toBe(false)
})

test('a client is not kept waiting by SIGINT: exit code 130, and the run goes on', async () => {
  const { run, start, worker, folder } = place()
  await worker()
  const file = join(folder, 'log')
  const waiting = start('submit', 'slow', JSON.stringify(file), '1500', '--id', 's', '--wait')
  await eventually('the task runs', () => existsSync(file) || undefined)
  waiting.signal('SIGINT')
  const { code, stdout, stderr } = await waiting.ended
  expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
  expect(stderr).toContain('interrupted by SIGINT; what was submitted goes on')
  expect(await run('result', 's')).toMatchObject({ code: 0, stdout: '"slept"\n' })
})

test('the file says what nothing else does', async () => {
  const { run, worker, folder, module } = place({ env: { TASKS_URL: '', TASKS_NAMESPACE: '' } })
  writeFileSync(
    join(folder, 'tasks.config.mjs'),
    `export default { transport: 'sqlite:./own.db', tasks: ${JSON.stringify(module('tasks.ts'))}, concurrency: 2 }`,
  )
  const started = await worker('--verbose')
  expect(documentOf(await run('submit', 'add', '4', '5', '--wait', '--json'))).toMatchObject({ result: 9 })
  expect(existsSync(join(folder, 'own.db'))).toBe(true)
  started.signal('SIGINT')
  expect((await started.ended).stderr).toContain('at most 2 at a time')
})

test('the stores of two folders are two', async () => {
  const [one, two] = [place(), place()]
  await Promise.all([one.worker(), two.worker()])
  await one.run('submit', 'add', '1', '1', '--wait')
  expect(documentOf(await two.run('list', '--json'))).toEqual({ pipelines: [], incomplete: false })
  expect(readFileSync(join(one.folder, 'tasks.db')).length).toBeGreaterThan(0)
})
