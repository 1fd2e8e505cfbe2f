// From rounds to medians, and whether the bars were met.
import { median } from '../figures'
import type { Samples } from './arena'
import type { ContestSeries } from './compare'
import type { ContenderName } from './contender'
import { isRate, type Row } from './contest'

/** Ours against a peer, turn by turn: the median of the rounds' medians, and the extremes of these. */
export interface Ratio {
  readonly median: number
  readonly lowest: number
  readonly highest: number
}

export interface RowVerdict extends Row {
  readonly medians: Readonly<Partial<Record<ContenderName, number>>>
  readonly ratios: Readonly<Partial<Record<ContenderName, Ratio>>>
  /** Against BullMQ; absent where there is no bar, or nothing to hold against it. */
  readonly verdict?: 'reached' | 'met' | 'MISSED'
}

export interface ContestVerdict {
  readonly contest: string
  readonly title: string
  readonly rounds: number
  readonly rows: readonly RowVerdict[]
  readonly failures: readonly string[]
}

export function judge(
  { contest, rounds, failures }: ContestSeries,
  contenders: readonly ContenderName[],
): ContestVerdict {
  return {
    contest: contest.name,
    title: contest.title,
    rounds: rounds.length,
    rows: contest.rows.map((row) => judgeRow(row, rounds, contenders)),
    failures,
  }
}

function judgeRow(row: Row, rounds: readonly Samples[], contenders: readonly ContenderName[]): RowVerdict {
  const medians: Partial<Record<ContenderName, number>> = {}
  const ratios: Partial<Record<ContenderName, Ratio>> = {}
  for (const name of contenders) {
    const values = rounds.flatMap((round) => (round[row.name]?.[name] === undefined ? [] : [round[row.name]![name]!]))
    if (values.length === 0) continue
    medians[name] = median(values.map(median))
    const each = rounds.flatMap((round) => {
      const { ours, [name]: theirs } = round[row.name] ?? {}
      return name === 'ours' || ours === undefined || theirs === undefined
        ? []
        : [median(ours.map((value, turn) => value / theirs[turn]!))]
    })
    if (each.length > 0) ratios[name] = { median: median(each), lowest: Math.min(...each), highest: Math.max(...each) }
  }
  const ratio = ratios.bullmq?.median
  const { bar, reach } = row
  if (ratio === undefined || bar === undefined || reach === undefined) return { ...row, medians, ratios }
  const isAtLeast = (aim: number): boolean => (isRate(row) ? ratio >= aim : ratio <= aim)
  return { ...row, medians, ratios, verdict: isAtLeast(reach) ? 'reached' : isAtLeast(bar) ? 'met' : 'MISSED' }
}
