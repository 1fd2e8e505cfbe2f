import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { commandOf, openSection, tableOf } from '../src/markdown'

function newPage(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tasks-bench-page-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'page.md')
}

test('a report takes the place of the one before, and nothing else of the page', () => {
  const page = newPage()
  const [first, second] = [
    '# One\n\n<!-- bench:floors -->',
    '\n<!-- /bench -->\n\n# Two\n\n<!-- bench:peers -->\nkept\n<!-- /bench -->\n',
  ]
  writeFileSync(page, `${first}${second}`)
  for (const lines of [['old', 'older'], tableOf(['', 'a | b'], [['x', '1']])]) openSection(page, 'floors')(lines)
  expect(readFileSync(page, 'utf8')).toBe(`${first}\n|  | a \\| b |\n|---|---:|\n| x | 1 |${second}`)
})

test('a page that is not there is made, and one that has no such section is refused before anything is measured', () => {
  const page = newPage()
  openSection(page, 'peers')(['new'])
  expect(readFileSync(page, 'utf8')).toBe('<!-- bench:peers -->\nnew\n<!-- /bench -->\n')
  expect(() => openSection(page, 'floors')).toThrow(/no section between <!-- bench:floors -->/)
})

test('the command is told without the page', () => {
  expect(commandOf(['--peers', 'redis', '--markdown', 'docs/x.md', '--rounds', '2'])).toBe(
    'npm run bench -- --peers redis --rounds 2',
  )
  expect(commandOf(['--markdown=docs/x.md'])).toBe('npm run bench')
})
