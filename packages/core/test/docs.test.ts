// What the documents show is compiled and run: each page is one module, its blocks in order.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { compile } from './support/compile'

const here = dirname(fileURLToPath(import.meta.url))
const docs = join(here, '../../../docs')
// Beside the tests, so that its imports are found; what git ignores.
const folder = join(here, '../temp/docs')

/** The blocks of a page as one module that imports the sources. */
function moduleOf(page: string): string {
  const blocks = Array.from(readFileSync(join(docs, page), 'utf8').matchAll(/```ts\n(.*?)```/gs), ([, code]) => code!)
  return blocks.join('\n').replaceAll("'@tasks/core'", "'../src/index'")
}

const pages = readdirSync(docs).filter((page) => moduleOf(page) !== '')

test('there are pages with code', () => expect(pages.length).toBeGreaterThanOrEqual(2))

describe.each(pages)('docs/%s', (page) => {
  test('compiles', () => expect(compile(moduleOf(page)).errors).toEqual([]), 60_000)

  test('runs', async () => {
    mkdirSync(folder, { recursive: true })
    const file = join(folder, page.replace(/\.md$/, '.ts'))
    writeFileSync(file, moduleOf(page).replaceAll("'../src/index'", "'../../src/index'"))
    try {
      await expect(import(pathToFileURL(file).href)).resolves.toBeDefined()
    } finally {
      rmSync(file)
    }
  }, 60_000)
})
