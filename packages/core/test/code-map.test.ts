// The code map of ARCHITECTURE.md, held against the files that are there.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const here = dirname(fileURLToPath(import.meta.url))
const page = readFileSync(join(here, '../../../ARCHITECTURE.md'), 'utf8')
const [, map = ''] = /^## 10\. Code map\n(.*?)^## /ms.exec(page) ?? []

/** What the rows of the map name, as paths below `src`; a row that begins with a folder is about that folder. */
const named = map.split('\n').flatMap((line) => {
  if (!line.startsWith('| `')) return []
  const [, folder = ''] = /^\| `([a-z]+\/)/.exec(line) ?? []
  const [, files = '', text = ''] = line.split('|')
  // The engine's files are listed without `.ts`.
  const pattern = folder === 'engine/' ? /`((?:[a-z]+\/)?)([a-z-]+)(?:\.ts)?`/g : /`((?:[a-z]+\/)?)([a-z-]+)\.ts`/g
  const listed = Array.from(files.matchAll(pattern))
  const told = Array.from(text.matchAll(/`((?:[a-z]+\/)?)([a-z-]+)\.ts`/g))
  return [...listed, ...told].map(([, path, stem]) => `${path || folder}${stem}.ts`)
})

const files = readdirSync(join(here, '../src'), { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts') && !file.endsWith('index.ts'))

describe('the code map of ARCHITECTURE.md', () => {
  test('names every file of core', () => expect(files.filter((file) => !named.includes(file))).toEqual([]))
  test('names no file that is not there', () => expect(named.filter((file) => !files.includes(file))).toEqual([]))
})
