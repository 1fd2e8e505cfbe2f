import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PromiseName } from './case'
import { promises } from './case'

/** What came of one case on one adapter. */
export interface CaseResult {
  readonly name: string
  readonly promise: PromiseName
  readonly outcome: 'kept' | 'broken' | 'skipped'
  /** Why it was skipped, or what went wrong. */
  readonly reason?: string
}

export interface AdapterResults {
  readonly adapter: string
  readonly results: readonly CaseResult[]
}

/** A table adapter × promise: ✓, how many cases failed, how many were skipped; below it, the reasons. */
export function markdownReport(adapters: readonly AdapterResults[]): string {
  const names = Object.keys(promises) as PromiseName[]
  const used = names.filter((name) => adapters.some(({ results }) => results.some(({ promise }) => promise === name)))
  const lines = [
    `| promise | ${adapters.map(({ adapter }) => adapter).join(' | ')} |`,
    `|---|${adapters.map(() => '---').join('|')}|`,
    ...used.map(
      (name) => `| **${name}** ${promises[name]} | ${adapters.map(({ results }) => cell(results, name)).join(' | ')} |`,
    ),
  ]
  for (const { adapter, results } of adapters) {
    const noted = results.filter(({ outcome }) => outcome !== 'kept')
    if (noted.length > 0) lines.push('', `${adapter}:`, '')
    for (const { name, outcome, reason } of noted)
      lines.push(`- ${outcome}: ${name}${reason === undefined ? '' : ` (${reason.split('\n')[0]})`}`)
  }
  return `${lines.join('\n')}\n`
}

function cell(results: readonly CaseResult[], name: PromiseName): string {
  const cases = results.filter(({ promise }) => promise === name)
  const count = (outcome: CaseResult['outcome']): number => cases.filter((result) => result.outcome === outcome).length
  const [kept, broken, skipped] = [count('kept'), count('broken'), count('skipped')]
  const parts = [kept > 0 && `✓ ${kept}`, broken > 0 && `✗ ${broken}`, skipped > 0 && `skipped ${skipped}`]
  return parts.filter((part) => part !== false).join(', ') || '–'
}

/** Keeps the results of an adapter in a folder, and writes the table of all that are there. */
export function writeReport(folder: string, adapter: AdapterResults): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, `${adapter.adapter.replace(/[^\w.-]+/g, '-')}.json`),
    `${JSON.stringify(adapter, undefined, 2)}\n`,
  )
  const files = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
  const all = files.map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as AdapterResults)
  writeFileSync(join(folder, 'REPORT.md'), markdownReport(all))
}
