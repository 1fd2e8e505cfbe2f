// What docs/events.md shows of listeners is run: its blocks in order, as one module. The blocks of core alone are run by the tests of core.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))
// Within the package, so that its imports are found; what git ignores.
const folder = join(root, 'apps/approval/temp')

test('docs/events.md: listeners', async () => {
  const page = readFileSync(join(root, 'docs/events.md'), 'utf8')
  const blocks = Array.from(page.matchAll(/```ts listeners\n(.*?)```/gs), ([, code]) => code!)
  expect(blocks).toHaveLength(3)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'events.ts')
  writeFileSync(file, blocks.join('\n'))
  try {
    await expect(import(pathToFileURL(file).href)).resolves.toBeDefined()
  } finally {
    rmSync(file)
  }
}, 60_000)
