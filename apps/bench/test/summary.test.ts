import { expect, test } from 'vitest'
import { quantile } from '../src/figures'
import type { Series } from '../src/schedule'
import { summarize } from '../src/summary'
import { formatValue } from '../src/table'
import type { RoundResult } from '../src/workload'

const roundOf = (value: number): RoundResult => ({
  figures: [{ name: 'cost', value, unit: 'x', aim: { most: 2 } }],
  floors: {},
  server: 'none',
  durability: 'none',
  seconds: 1,
})

test('the median of the rounds is what an aim is held against', () => {
  const workload = { name: 'w', title: 'a workload', run: () => Promise.resolve() }
  const series = (...values: number[]): Series => ({
    workload,
    transport: 'memory:',
    rounds: values.map(roundOf),
    failures: [],
  })
  const [row] = summarize(series(1, 9, 2)).rows
  expect(row).toEqual({ name: 'cost', unit: 'x', median: 2, lowest: 1, highest: 9, aim: { most: 2, reached: true } })
  expect(summarize(series(1, 9, 3)).rows[0]!.aim!.reached).toBe(false)
})

test('quantiles lie between two values where they must', () => {
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5)
  expect(quantile([1, 2, 3], 1)).toBe(3)
  expect(quantile([], 0.5)).toBeNaN()
})

test('figures are shown with as many digits as they are worth', () => {
  expect(formatValue(123_456.7, '/s')).toBe('123,457 /s')
  expect(formatValue(1.234, 'x')).toBe('1.23 x')
})
