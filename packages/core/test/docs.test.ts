// What the documents show is compiled and run. The blocks of a page are one module, in order; those that have a name besides (```ts listeners) are another.
// What composes in the README is compiled, with the tasks that it takes for granted; its first example is run by scripts/pack-check.js.
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

test('README.md: composing compiles', () => {
  const text = readFileSync(join(here, '../README.md'), 'utf8')
  const [, block = ''] = /\*\*Composing\.\*\*\n\n```ts\n(.*?)```/s.exec(text) ?? []
  const names = ['const thumbnails', 'fanOut', 'exceptionally', 'finallyDo']
  expect(names.filter((name) => !block.includes(name))).toEqual([])
  const given = `import { createTasks, fanOut, sleep, type FinalPipeline, type TaskError } from '../src/index'
const tasks = createTasks({ namespace: 'example' })
const list = tasks.declare<(folder: string) => string[]>('list')
const resize = tasks.declare<(file: string, width: number) => string>('resize')
const placeholders = tasks.declare<(error: TaskError) => string[]>('placeholders')
const collect = tasks.declare<(files: string[]) => number>('collect')
const cleanUp = tasks.declare<(folder: string) => void>('cleanUp')
`
  expect(
    compile(`${given}${block}const pipeline: FinalPipeline<number, unknown> = thumbnails\nvoid pipeline`).errors,
  ).toEqual([])
}, 60_000)
