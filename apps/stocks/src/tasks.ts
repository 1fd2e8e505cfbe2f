// The workflow: load each stock's prices, take their standard deviation, and average the deviations. Plain functions
// with names: call them in a test, send them in a program. Where they run, and on which broker, is not said here.
import { createTasks, inParallel } from '@tasks/core'
import { readPrices } from './prices'

export const tasks = createTasks({ namespace: 'stocks' })

export const loadTimeseries = tasks.bind('loadTimeseries', (stock: string) => readPrices(stock), {
  retry: { maxRetries: 3 },
})

/** Of the population: the prices are all there are, not a sample. */
export const stdDev = tasks.bind('stdDev', (prices: readonly number[]) => {
  const center = mean(prices)
  return Math.sqrt(mean(prices.map((price) => (price - center) ** 2)))
})

export const average = tasks.bind('average', (deviations: readonly number[]) => mean(deviations))

export const portfolioRisk = tasks.bind('portfolioRisk', (stocks: readonly string[]) =>
  inParallel(stocks.map((stock) => loadTimeseries.send(stock).continueWith(stdDev))).continueWith(average),
)

function mean(numbers: readonly number[]): number {
  if (numbers.length === 0) throw new RangeError('there is no mean of no numbers')
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}
