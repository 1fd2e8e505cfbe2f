import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { documentOf, eventually, place } from './support/command'

test('SIGINT lets the running task end, and the exit code is 0', async () => {
  const { run, worker, folder } = place()
  const started = await worker()
  const file = join(folder, 'log')
  await run('submit', 'slow', JSON.stringify(file), '700', '--id', 's')
  await eventually('the task runs', () => existsSync(file) || undefined)
  started.signal('SIGINT')
  const { code, stdout, stderr } = await started.ended
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  expect(stderr).toContain('worker closed after')
  expect(readFileSync(file, 'utf8')).toBe('start\nend\n')
  expect(await run('result', 's')).toMatchObject({ code: 0, stdout: '"slept"\n' })
})

test('a second SIGINT exits at once, with 130, and nothing is lost', async () => {
  const { run, worker, folder } = place()
  const first = await worker()
  const file = join(folder, 'log')
  await run('submit', 'slow', JSON.stringify(file), '1500', '--id', 's')
  await eventually('the task runs', () => existsSync(file) || undefined)
  first.signal('SIGINT')
  await eventually('it drains', () => new Promise<true>((resolve) => setTimeout(resolve, 200, true)))
  first.signal('SIGINT')
  const { code, stderr } = await first.ended
  expect(stderr).toContain('a second signal: exiting at once')
  expect(code).toBe(130)
  expect(readFileSync(file, 'utf8')).toBe('start\n')
  await worker()
  expect(await run('result', 's', '--timeout', '20s')).toMatchObject({ code: 0, stdout: '"slept"\n' })
  expect(readFileSync(file, 'utf8')).toBe('start\nstart\nend\n')
})

test('at --drain-ms a task that has not ended is given back, and another worker has it', async () => {
  const { run, worker, folder, module } = place()
  const first = await worker(module('tasks.ts'), '--drain-ms', '100')
  const file = join(folder, 'log')
  await run('submit', 'slow', JSON.stringify(file), '60000', '--id', 's')
  await eventually('the task runs', () => existsSync(file) || undefined)
  first.signal('SIGTERM')
  const { code, stderr } = await first.ended
  expect(stderr).toContain('tasks were given back: they did not end in time')
  expect(code).toBe(0)
  await worker(module('tasks.ts'), '--drain-ms', '100')
  await eventually('it runs again', () => readFileSync(file, 'utf8') === 'start\nstart\n' || undefined)
})

test('--json: one document, when it ends', async () => {
  const { start, module } = place()
  const worker = start('worker', module('tasks.ts'), '--json', '--concurrency', '3', '--queues', 'default,other')
  await worker.says('at most 3 at a time')
  worker.signal('SIGTERM')
  const ended = await worker.ended
  expect(ended.code).toBe(0)
  expect(documentOf(ended)).toMatchObject({
    namespace: 'cli',
    transport: expect.stringMatching(/^sqlite:/) as string,
    tasks: expect.arrayContaining(['add', 'double', 'fail', 'slow', 'odd', 'doubles']) as unknown,
    queues: ['default', 'other'],
    concurrency: 3,
    ranMs: expect.any(Number) as number,
  })
})

test('workers share the tasks of an owner beside them', async () => {
  const { run, worker, module, folder } = place()
  const roles = [['owner'], ['worker', '--concurrency', '1'], ['worker', '--concurrency', '1']] as const
  await Promise.all(roles.map((role) => worker(module('tasks.ts'), '--role', ...role)))
  const { code, stdout } = await run('submit', 'doubles', '[1,2,3,4]', '--wait')
  expect({ code, value: JSON.parse(stdout) as unknown }).toEqual({ code: 0, value: [2, 4, 6, 8] })
  // Each holds the one place of its worker until both have begun.
  const files = ['one', 'other'].map((name) => join(folder, name))
  for (const file of files) await run('submit', 'slow', JSON.stringify(file), '60000')
  await eventually('both run at once', () => files.every((file) => existsSync(file)) || undefined)
})

test.each([
  ['empty.ts', /has no tasks: bind them before it starts.*\(TASKS_NO_TASKS\)/],
  ['no-registry.ts', /must export its registry, as "tasks" or by default: .*; it exports one, two/],
  [
    'throws.ts',
    /throws\.ts could not be loaded: the secret is missing \(TASKS_CONFIG\)\n.*Error: the secret is missing\n +at .*throws\.ts/,
  ],
  ['nowhere.ts', /there is no module .*nowhere\.ts/],
])('a worker of %s is refused', async (name, message) => {
  const { run, module } = place()
  const { code, stdout, stderr } = await run('worker', module(name))
  expect(stderr).toMatch(message)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
})

test('the codec and the limits of a project are those of its commands', async () => {
  const { run, worker, folder, module } = place()
  // What no other codec reads.
  writeFileSync(
    join(folder, 'tasks.config.mjs'),
    `const turned = (bytes) => Buffer.from(bytes).map((byte) => byte ^ 0x55)
    const codec = {
      name: 'turned',
      text: false,
      encode: (value) => turned(JSON.stringify(value ?? null)),
      decode: (bytes) => JSON.parse(Buffer.from(turned(bytes)).toString()),
    }
    export default { codec, maxDeliveries: 3, unknownTaskGraceMs: 100 }`,
  )
  await worker(module('tasks.ts'))
  const ended = await run('submit', 'add', '20', '22', '--id', 'turned', '--wait', '-m', module('tasks.ts'))
  expect(ended).toMatchObject({ code: 0, stdout: '42\n' })
  expect(await run('result', 'turned')).toMatchObject({ code: 0, stdout: '42\n' })
  const { settings } = JSON.parse((await run('doctor', '--json')).stdout) as { settings: { name: string }[] }
  expect(settings).toContainEqual(expect.objectContaining({ name: 'maxDeliveries', value: 3, source: 'file' }))
  // A task that this worker does not know is given back for the grace, and not for ten minutes.
  await run('submit', 'unheard', '7', '--id', 'unheard')
  const letters = await eventually('the letter', async () => {
    const list = JSON.parse((await run('dlq', 'ls', '--json')).stdout) as { letters: readonly { id: string }[] }
    return list.letters.length > 0 ? list.letters : undefined
  })
  expect((await run('dlq', 'show', letters[0]!.id)).stdout).toContain('[7]')
})
