import { isPipeline } from '@tasks/core'
import { expect, test } from 'vitest'
import { readSymbols } from '../src/prices'
import { average, loadTimeseries, portfolioRisk, stdDev, tasks } from '../src/tasks'
import { expectedDeviations, expectedRisk } from './support/expected'

test('the tasks are functions that can be called', async () => {
  const symbols = await readSymbols()
  expect([...symbols].sort()).toEqual(['AAPL', 'AMZN', 'GOOG', 'IBM', 'MSFT'])
  const deviations = []
  for (const symbol of symbols) {
    const deviation = stdDev(await loadTimeseries(symbol))
    expect(deviation).toBeCloseTo(expectedDeviations[symbol]!, 8)
    deviations.push(deviation)
  }
  expect(average(deviations)).toBeCloseTo(expectedRisk, 8)
})

test('prices come in order, oldest first', async () => {
  const prices = await loadTimeseries('MSFT')
  expect(prices).toHaveLength(123)
  expect(prices.slice(0, 2)).toEqual([39.81, 36.35])
})

test('a stock without prices is an error that lists those with', async () => {
  await expect(loadTimeseries('TSLA')).rejects.toThrow(
    'there are no prices of "TSLA"; known: MSFT, AMZN, IBM, GOOG, AAPL',
  )
})

test('the deviation is that of the population', () => {
  expect(stdDev([2, 4, 4, 4, 5, 5, 7, 9])).toBe(2)
  expect(() => average([])).toThrow('there is no mean of no numbers')
})

test('portfolioRisk describes one chain for each stock, and their average', () => {
  const pipeline = portfolioRisk(['MSFT', 'IBM'])
  expect(isPipeline(pipeline)).toBe(true)
  const { steps, chain } = pipeline.toJSON()
  expect(steps.map(({ task }) => task)).toEqual(['loadTimeseries', 'stdDev', 'average'])
  expect(chain).toMatchObject([
    {
      group: 2,
      chains: [
        [[0, expect.stringContaining('MSFT')], [1]],
        [[0, expect.stringContaining('IBM')], [1]],
      ],
    },
    [2],
  ])
})

test('the registry has the four tasks', () => {
  expect(tasks.names()).toEqual(['loadTimeseries', 'stdDev', 'average', 'portfolioRisk'])
})
