// What the documents show is compiled and run. The blocks of a page are one module, in order; those that have a name besides (```ts listeners) are another.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { compile } from './support/compile'

const here = dirname(fileURLToPath(import.meta.url))
const docs = join(here, '../../../docs')
// Beside the tests, so that its imports are found; what git ignores.
const folder = join(here, '../temp/docs')

interface Module {
  readonly name: string
  readonly text: string
}

function modulesOf(page: string): readonly Module[] {
  const texts = new Map<string, string>()
  for (const [, name, code] of readFileSync(join(docs, page), 'utf8').matchAll(/```ts(?: (\w+))?\n(.*?)```/gs))
    texts.set(name ?? 'page', `${texts.get(name ?? 'page') ?? ''}${code}\n`)
  return Array.from(texts, ([name, text]) => ({ name: `${page.replace(/\.md$/, '')}.${name}`, text }))
}

/** As a module in this folder: it imports the sources, of core and of its neighbours. */
const fromSources = (text: string, up: string): string =>
  text
    .replaceAll("'@tasks/core'", `'${up}src/index'`)
    .replaceAll(/'@tasks\/(listener-\w+)'/g, (_, neighbour: string) => `'${up}../${neighbour}/src/index'`)

const modules = readdirSync(docs).flatMap(modulesOf)

test('there are pages with code', () => expect(modules.length).toBeGreaterThanOrEqual(3))

describe.each(modules)('docs/$name', ({ name, text }) => {
  test('compiles', () => expect(compile(fromSources(text, '../')).errors).toEqual([]), 60_000)

  test('runs', async () => {
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `${name}.ts`)
    writeFileSync(file, fromSources(text, '../../'))
    try {
      await expect(import(pathToFileURL(file).href)).resolves.toBeDefined()
    } finally {
      rmSync(file)
    }
  }, 60_000)
})
