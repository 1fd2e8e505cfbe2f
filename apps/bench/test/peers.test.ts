import { NoBroker } from '@tasks/dev-config/brokers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compile, type Bundle } from '../src/bundle'
import { compare, type ContestSeries } from '../src/peers/compare'
import { contenderNames } from '../src/peers/contenders'
import type { Contest } from '../src/peers/contest'
import { contests } from '../src/peers/contests'
import { judge } from '../src/peers/verdicts'

let bundle: Bundle
beforeAll(async () => {
  bundle = await compile()
})
afterAll(() => bundle.remove())

/** Or why there is no server on this machine. Where everything must run, that is a failure. */
async function compareQuickly(contest: Contest): Promise<ContestSeries | string> {
  const settings = { rounds: 1, appendfsync: 'everysec', quick: true, tell: () => undefined } as const
  try {
    const { series } = await compare({ contests: [contest], contenders: contenderNames, bundle, ...settings })
    return series[0]!
  } catch (error) {
    if (!(error instanceof NoBroker) || process.env['CI'] !== undefined) throw error
    console.warn(`\n*** no Redis here: ${error.message}\n`)
    return `no Redis here: ${error.message}`
  }
}

// Figures are not asserted: only that each contender ends, and that what ran and what came out was as it must be.
describe.each(contests.map((contest) => ({ name: contest.name, contest })))('$name', ({ contest }) => {
  test('every contender passes the checks, and every row has figures', async (ctx) => {
    const series = await compareQuickly(contest)
    if (typeof series === 'string') return ctx.skip(series)
    const { failures, rows } = judge(series, contenderNames)
    expect(failures).toEqual([])
    const lacking = rows.filter(({ medians, ratios }) => !(medians.ours! > 0) || !(ratios.bullmq!.median > 0))
    expect(lacking).toEqual([])
    const measured = series.rounds.flatMap((samples) => Object.keys(samples))
    expect(new Set(measured)).toEqual(new Set(rows.map(({ name }) => name)))
  })
})

describe('the verdict', () => {
  const seriesOf = (unit: '/s' | 'ms', ...rounds: { ours: number[]; bullmq: number[] }[]): ContestSeries => ({
    contest: {
      name: 'c',
      title: 'a contest',
      rows: [{ name: 'row', unit, bar: unit === 'ms' ? 0.5 : 2, reach: unit === 'ms' ? 0.25 : 4 }],
      run: () => Promise.resolve(),
    },
    rounds: rounds.map((row) => ({ row })),
    failures: [],
  })
  const verdictOf = (series: ContestSeries) => judge(series, ['ours', 'bullmq']).rows[0]!

  test('a rate is to be many times the other, a time a part of it', () => {
    expect(verdictOf(seriesOf('/s', { ours: [30], bullmq: [10] })).verdict).toBe('met')
    expect(verdictOf(seriesOf('/s', { ours: [40], bullmq: [10] })).verdict).toBe('reached')
    expect(verdictOf(seriesOf('/s', { ours: [19], bullmq: [10] })).verdict).toBe('MISSED')
    expect(verdictOf(seriesOf('ms', { ours: [2], bullmq: [10] })).verdict).toBe('reached')
    expect(verdictOf(seriesOf('ms', { ours: [6], bullmq: [10] })).verdict).toBe('MISSED')
  })

  test('ratios are those of turns, then medians of rounds: a slow turn of both changes nothing', () => {
    const verdict = verdictOf(
      seriesOf(
        '/s',
        { ours: [30, 3, 30], bullmq: [10, 1, 10] },
        { ours: [20], bullmq: [10] },
        { ours: [80], bullmq: [20] },
      ),
    )
    expect(verdict.ratios.bullmq).toEqual({ median: 3, lowest: 2, highest: 4 })
    expect(verdict.medians).toEqual({ ours: 30, bullmq: 10 })
  })
})
