import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { documentOf, eventually, place } from './support/command'

test('a pipeline is paused, shown, resumed, cancelled and deleted by its id', async () => {
  const { run, start, worker, module, folder } = place()
  await worker()
  const file = join(folder, 'go')
  const submit = async (id: string): Promise<void> => {
    expect((await run('submit', 'held', JSON.stringify(file), '-m', module('tasks.ts'), '--id', id)).code).toBe(0)
    await eventually('an owner has it', async () => (await run('status', id)).code === 0 || undefined)
  }
  await submit('a')
  expect(await run('pause', 'a')).toEqual({ code: 0, stdout: 'a is PAUSED\n', stderr: '' })
  const shown = await run('show', 'a')
  expect(shown.stdout).toMatch(/^PAUSED {2}a {2}held {2}0 of 1 tasks, 0 attempts, .*\n▶ held {2}\d/)
  expect(documentOf(await run('resume', 'a', '--json'))).toEqual({ id: 'a', status: 'RUNNING' })
  expect(documentOf(await run('show', 'a', '--json'))).toMatchObject({
    id: 'a',
    name: 'held',
    status: 'RUNNING',
    chain: { state: 'running', entries: [{ taskId: 'a/0', name: 'held', state: 'running', attempt: 1 }] },
  })
  // Without a terminal the picture of the end is the only one.
  const watching = start('show', 'a', '--watch')
  writeFileSync(file, '')
  const watched = await watching.ended
  expect(watched).toMatchObject({ code: 0, stderr: '' })
  expect(watched.stdout).toMatch(/^COMPLETED {2}a {2}held {2}1 of 1 tasks, 1 attempts, .*\n✓ held .*\n$/)
  const late = await run('cancel', 'a', '--json')
  expect(late.code).toBe(5)
  expect(documentOf(late)).toMatchObject({ error: { code: 'TASKS_STATUS' } })
  expect(await run('delete', 'a')).toEqual({ code: 0, stdout: 'a is deleted\n', stderr: '' })
  await eventually('it is gone', async () => (await run('show', 'a')).code === 3 || undefined)
  expect((await run('resume', 'a')).code).toBe(3)

  rmSync(file)
  await submit('b')
  expect((await run('cancel', 'b', '--grace', '1ms')).stdout).toMatch(/^b is CANCELL(ING|ED)\n$/)
  expect(await run('result', 'b')).toMatchObject({ code: 1, stdout: '' })
  expect((await run('show', 'b')).stdout).toMatch(
    /^CANCELLED {2}b .*\n✗ held\nTaskError: the pipeline "b" was cancelled\n$/,
  )
})

test('a failed pipeline is shown down to what failed, and retried', async () => {
  const { run, worker, module } = place()
  await worker()
  await run('submit', 'halves', '[2,3,4]', '--id', 'h', '-m', module('tasks.ts'), '--wait')
  const shown = await run('show', 'h')
  expect(shown.stdout.split('\n').slice(1)).toEqual([
    '… 1 pipelines before, each in place of the other',
    '✗ in parallel  3 chains, 3 ended, 1 failed',
    '  ├─ [0] ✓',
    '  ├─ [1] ✗ half  RangeError: 3 is odd',
    '  └─ [2] ✓',
    '– double',
    '',
  ])
  const listed = await run('list', '--children')
  expect(listed.stdout).toMatch(/^ID .*\nh +halves +FAILED +\d\/\d .*\nh~1 +half +FAILED {2,}20\S+Z/)
  expect(documentOf(await run('list', '--children', '--limit', '1', '--json'))).toMatchObject({ after: 'h' })
  expect(documentOf(await run('list', '--children', '--after', 'h', '--json'))).toMatchObject({
    pipelines: [{ id: 'h~1', rootId: 'h', parentId: 'h', name: 'half', status: 'FAILED' }],
  })
  expect(documentOf(await run('retry', 'h', '--json'))).toMatchObject({ id: 'h' })
  expect(await run('result', 'h')).toMatchObject({ code: 1 })
})

test('nobody answers a command while no worker is up', async () => {
  const { run } = place()
  expect((await run('submit', 'add', '1', '2', '--id', 'x')).code).toBe(0)
  const { code, stderr } = await run('pause', 'x')
  expect(stderr).toContain('is a worker up?')
  expect(code).toBe(4)
})
