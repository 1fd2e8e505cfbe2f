import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { documentOf, place } from './support/command'

test('an exported pipeline is drawn as a tree, as Mermaid, and as all of it', async () => {
  const { run, module } = place()
  const of = module('tasks.ts')
  expect(await run('graph', 'sum', '-m', of)).toEqual({ code: 0, stdout: 'add → double\n', stderr: '' })
  const mermaid = await run('graph', 'sum', '-m', of, '--mermaid')
  expect(mermaid.stdout).toMatch(/^flowchart /)
  expect(documentOf(await run('graph', 'sum', '-m', of, '--json'))).toEqual({
    definition: { v: 1, steps: [{ task: 'add' }, { task: 'double', open: 1 }], chain: [[0, '[1,2]'], [1]] },
    text: 'add → double',
    mermaid: mermaid.stdout.trimEnd(),
  })
})

test('a task is one entry; with --call it is called, and what it returns is drawn', async () => {
  const { run, module } = place()
  const of = module('tasks.ts')
  const one = await run('graph', 'doubles', '[1,2]', '-m', of)
  expect(one).toMatchObject({ code: 0, stdout: 'doubles\n' })
  expect(one.stderr).toContain('--call calls it here')
  const { stdout } = await run('graph', 'doubles', '[1,2,3]', '-m', of, '--call', '--max-chains', '2')
  expect(stdout.match(/─ double/g)).toHaveLength(2)
  expect(stdout).toContain('3 chains')
  const { code, stderr } = await run('graph', 'add', '1', '2', '-m', of, '--call')
  expect(stderr).toContain('the task "add" returned no pipeline that could be drawn, but number')
  expect(code).toBe(2)
})

test('a definition is drawn from a file and from stdin, without a module', async () => {
  const definition = JSON.stringify({
    v: 1,
    steps: [{ task: 'a' }, { task: 'b', open: 1 }],
    chain: [{ group: 2, chains: [[[0]], [[0]]] }, [1]],
  })
  const { run, folder } = place({ stdin: definition, env: { TASKS_URL: '', TASKS_NAMESPACE: '' } })
  writeFileSync(join(folder, 'pipeline.json'), definition)
  const drawn = { code: 0, stdout: 'in parallel: 2 chains\n├─ a\n└─ a\n→ b\n', stderr: '' }
  expect(await run('graph', '--definition', 'pipeline.json')).toEqual(drawn)
  expect(await run('graph', '--definition', '-')).toEqual(drawn)
})

test('a definition that is wrong is refused by its path', async () => {
  const { run, folder } = place()
  writeFileSync(join(folder, 'bad.json'), JSON.stringify({ v: 1, steps: [{ task: 'a' }], chain: [[1]] }))
  const bad = await run('graph', '--definition', 'bad.json')
  expect(bad.stderr).toContain('the definition is invalid at $.chain[0][0]: must be the index of one of 1 steps, not 1')
  expect(bad.code).toBe(2)
  expect((await run('graph', '--definition', 'nowhere.json')).stderr).toContain('there is no file nowhere.json')
})
