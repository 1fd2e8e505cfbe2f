// The report for people.
import { describeMachine, formatValue, oneLineOf } from '../table'
import type { Machine } from '../machine'
import type { ContenderName } from './contender'
import type { ContestVerdict, Ratio, RowVerdict } from './verdicts'

const NAME_WIDTH = 46
const CELL_WIDTH = 16
const RATIO_WIDTH = 24

export function renderPeersTable(
  machine: Machine,
  settings: readonly string[],
  contenders: readonly ContenderName[],
  verdicts: readonly ContestVerdict[],
): string {
  const peers = contenders.filter((name) => name !== 'ours')
  const head = [
    ''.padEnd(NAME_WIDTH),
    ...contenders.map((name) => name.padStart(CELL_WIDTH)),
    ...peers.map((name) => `ours / ${name}`.padStart(RATIO_WIDTH)),
    '  bar, reach for',
  ]
  const lines = [describeMachine(machine), ...settings, '', head.join('')]
  for (const { contest, title, rows, failures } of verdicts) {
    lines.push('', `${contest}: ${title}`)
    for (const row of rows) lines.push(renderRow(row, contenders, peers))
    for (const failure of failures) lines.push(`  FAILED ${oneLineOf(failure)}`)
  }
  return lines.join('\n')
}

function renderRow(row: RowVerdict, contenders: readonly ContenderName[], peers: readonly ContenderName[]): string {
  const { name, unit, medians, ratios, bar, reach, verdict } = row
  const value = (of: ContenderName): string => (medians[of] === undefined ? '' : formatValue(medians[of], unit))
  return [
    `  ${name}`.padEnd(NAME_WIDTH),
    ...contenders.map((of) => value(of).padStart(CELL_WIDTH)),
    ...peers.map((of) => renderRatio(ratios[of]).padStart(RATIO_WIDTH)),
    bar === undefined ? '' : `  ${bar} x, ${reach} x  ${verdict ?? 'nothing to compare'}`,
  ]
    .join('')
    .trimEnd()
}

function renderRatio(ratio: Ratio | undefined): string {
  if (ratio === undefined) return ''
  const [middle, lowest, highest] = [ratio.median, ratio.lowest, ratio.highest].map((each) => formatValue(each, ''))
  return `${middle} x (${lowest}-${highest})`
}
