// The packages as npm installs them: built, in a node_modules folder, beside the modules of a user. Vitest runs this
// once before the suite.
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A project that has everything installed. */
    readonly project: string
  }
}

const packages = fileURLToPath(new URL('../../..', import.meta.url))

let project = ''

export async function setup({ provide }: TestProject): Promise<void> {
  project = realpathSync(mkdtempSync(join(tmpdir(), 'tasks-cli-')))
  const modules = join(project, 'node_modules')
  mkdirSync(join(modules, '@tasks'), { recursive: true })
  mkdirSync(join(modules, '@photostructure'))
  await Promise.all([
    pack(modules, 'core', {
      index: 'index.ts',
      adapter: 'adapter/index.ts',
      memory: 'memory/index.ts',
      testing: 'testing/index.ts',
    }),
    pack(modules, 'transport-sqlite', { index: 'index.ts' }),
    pack(modules, 'cli', { index: 'index.ts', main: 'main.ts' }),
  ])
  for (const name of ['commander', 'tsx', '@photostructure/sqlite'])
    symlinkSync(realpathSync(join(packages, 'cli/node_modules', name)), join(modules, name))
  cpSync(join(packages, 'cli/test/fixtures'), project, { recursive: true })
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
  provide('project', project)
}

export function teardown(): void {
  rmSync(project, { recursive: true, force: true })
}

async function pack(modules: string, name: string, entries: Readonly<Record<string, string>>): Promise<void> {
  const source = join(packages, name)
  const target = join(modules, '@tasks', name)
  await build({
    config: false,
    silent: true,
    entry: Object.fromEntries(Object.entries(entries).map(([entry, file]) => [entry, join(source, 'src', file)])),
    outDir: join(target, 'dist'),
    format: name === 'cli' ? ['esm'] : ['esm', 'cjs'],
    target: 'node20',
    splitting: true,
    removeNodeProtocol: false,
    external: [/^[@a-z]/],
    esbuildOptions(options) {
      // The relative imports of our own files; everything else stays as it is written.
      options.conditions = []
    },
  })
  cpSync(join(source, 'package.json'), join(target, 'package.json'))
}
