import { cpSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject, onTestFinished, expect, test } from 'vitest'
import { documentOf, place, startProcess } from './support/command'

const native = Boolean((process.features as { readonly typescript?: unknown }).typescript)

test.each(['tasks.ts', 'plain.mjs', 'required.cts'])('a worker runs %s, and a client submits with it', async (name) => {
  const { run, worker, module } = place()
  await worker(module(name))
  const words = name === 'tasks.ts' ? ['add', '1', '2'] : ['shout', '"hey"']
  const { result } = documentOf(await run('submit', ...words, '-m', module(name), '--wait', '--json'))
  expect(result).toBe(name === 'tasks.ts' ? 3 : 'HEY')
})

test('tasks.config.ts is read as the modules are', async () => {
  const { run, folder, module } = place({ env: { TASKS_NAMESPACE: '' } })
  writeFileSync(
    join(folder, 'tasks.config.ts'),
    `const namespace: string = 'cli'\nexport default { namespace, tasks: ${JSON.stringify(module('tasks.ts'))} }`,
  )
  // Where this Node reads no TypeScript, tsx is found beside the command.
  const { stdout } = await run('graph', 'sum')
  expect(stdout).toBe('add → double\n')
})

test('in a project of CommonJS, TypeScript with imports of all kinds works by tsx', async () => {
  const here = project({ manifest: {}, tsx: true })
  writeFileSync(join(here.folder, 'prices.ts'), 'export enum Currency { Dollar = "USD" }')
  writeFileSync(
    join(here.folder, 'tasks.ts'),
    `import { createTasks } from '@tasks/core'
     import { Currency } from './prices'
     export const tasks = createTasks({ namespace: 'cli' })
     export const price = tasks.bind('price', () => Currency.Dollar)
     export const one = price.send()`,
  )
  const env = native ? { NODE_OPTIONS: '--import=tsx' } : {}
  expect(await here.run(['graph', 'one', '-m', 'tasks.ts'], env)).toEqual({ code: 0, stdout: 'price\n', stderr: '' })
})

/** A project without tsx. */
function projectOfNode() {
  const here = project({ manifest: { type: 'module' }, tsx: false })
  cpSync(join(inject('project'), 'tasks.ts'), join(here.folder, 'tasks.ts'))
  return here
}

test('a Node that reads no TypeScript says without tsx what to do', async (ctx) => {
  if (native) ctx.skip('this Node reads TypeScript')
  const { code, stderr } = await projectOfNode().run(['graph', 'sum', '-m', 'tasks.ts'])
  expect(stderr).toMatch(
    /tasks\.ts: Node v20\S+ reads no TypeScript: npm install --save-dev tsx, use Node 22\.18 or newer, or compile it/,
  )
  expect(code).toBe(2)
})

test('a Node that reads TypeScript needs no tsx', async (ctx) => {
  if (!native) ctx.skip('this Node reads no TypeScript')
  const { code, stdout } = await projectOfNode().run(['graph', 'sum', '-m', 'tasks.ts'])
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'add → double\n' })
})

/** An installation of its own: with a manifest, and with tsx or without. */
function project({ manifest, tsx }: { readonly manifest: object; readonly tsx: boolean }) {
  const { folder } = place()
  const modules = join(inject('project'), 'node_modules')
  mkdirSync(join(folder, 'node_modules'))
  // Copies: a link would find tsx beside what it points to.
  cpSync(join(modules, '@tasks'), join(folder, 'node_modules/@tasks'), { recursive: true })
  for (const name of ['commander', ...(tsx ? ['tsx'] : [])])
    symlinkSync(realpathSync(join(modules, name)), join(folder, 'node_modules', name))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, ...manifest }))
  onTestFinished(() => rmSync(join(folder, 'node_modules'), { recursive: true, force: true }))
  return {
    folder,
    run: (words: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      startProcess(process.execPath, [join(folder, 'node_modules/@tasks/cli/dist/main.js'), ...words], folder, env)
        .ended,
  }
}
