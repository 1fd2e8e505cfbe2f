// The report for people.
import { tableOf } from '../markdown'
import { describeMachine, formatValue, oneLineOf } from '../table'
import type { Machine } from '../machine'
import type { ContenderName } from './contender'
import type { ContestVerdict, Ratio, RowVerdict } from './verdicts'

const NAME_WIDTH = 46
const CELL_WIDTH = 16
const RATIO_WIDTH = 24

export interface PeersReport {
  readonly machine: Machine
  readonly settings: readonly string[]
  readonly contenders: readonly ContenderName[]
  readonly verdicts: readonly ContestVerdict[]
}

export function renderPeersTable({ machine, settings, contenders, verdicts }: PeersReport): string {
  const [name = '', ...cells] = headOf(contenders)
  const lines = [describeMachine(machine), ...settings, '', renderRow([name, ...cells], contenders)]
  for (const { contest, title, rows, failures } of verdicts) {
    lines.push('', `${contest}: ${title}`)
    for (const row of rows) {
      const [what = '', ...figures] = cellsOf(row, contenders)
      lines.push(renderRow([`  ${what}`, ...figures], contenders))
    }
    for (const failure of failures) lines.push(`  FAILED ${oneLineOf(failure)}`)
  }
  return lines.join('\n')
}

export function renderPeersMarkdown({ machine, settings, contenders, verdicts }: PeersReport): readonly string[] {
  const lines = [describeMachine(machine), ...settings].map((line) => `- ${line}`)
  for (const { contest, title, rows, failures } of verdicts) {
    const cells = rows.map((row) => cellsOf(row, contenders))
    lines.push('', `**${contest}**: ${title}`, '', ...tableOf(headOf(contenders), cells))
    for (const failure of failures) lines.push('', `FAILED ${oneLineOf(failure)}`)
  }
  return lines
}

const peersOf = (contenders: readonly ContenderName[]): readonly ContenderName[] =>
  contenders.filter((name) => name !== 'ours')

function headOf(contenders: readonly ContenderName[]): readonly string[] {
  return ['', ...contenders, ...peersOf(contenders).map((name) => `ours / ${name}`), 'bar, reach for']
}

function cellsOf(row: RowVerdict, contenders: readonly ContenderName[]): readonly string[] {
  const { name, unit, medians, ratios, bar, reach, verdict } = row
  return [
    name,
    ...contenders.map((of) => (medians[of] === undefined ? '' : formatValue(medians[of], unit))),
    ...peersOf(contenders).map((of) => renderRatio(ratios[of])),
    bar === undefined ? '' : `${bar} x, ${reach} x  ${verdict ?? 'nothing to compare'}`,
  ]
}

function renderRow([name = '', ...cells]: readonly string[], contenders: readonly ContenderName[]): string {
  const widths = [...contenders.map(() => CELL_WIDTH), ...peersOf(contenders).map(() => RATIO_WIDTH)]
  const padded = cells.map((cell, i) => (widths[i] === undefined ? `  ${cell}` : cell.padStart(widths[i])))
  return [name.padEnd(NAME_WIDTH), ...padded].join('').trimEnd()
}

function renderRatio(ratio: Ratio | undefined): string {
  if (ratio === undefined) return ''
  const [middle, lowest, highest] = [ratio.median, ratio.lowest, ratio.highest].map((each) => formatValue(each, ''))
  return `${middle} x (${lowest}-${highest})`
}
