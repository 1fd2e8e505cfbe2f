// The numbers by other code than the app's: read column by column, variance as the mean of squares less the square of
// the mean.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const csv = readFileSync(
  fileURLToPath(new URL('../../node_modules/vega-datasets/data/stocks.csv', import.meta.url)),
  'utf8',
)

const sums = new Map<string, { count: number; sum: number; squares: number }>()
for (const [, symbol = '', price = ''] of csv.matchAll(/^([A-Z]+),[^,]*,([\d.]+)\s*$/gm)) {
  const { count, sum, squares } = sums.get(symbol) ?? { count: 0, sum: 0, squares: 0 }
  sums.set(symbol, { count: count + 1, sum: sum + +price, squares: squares + +price * +price })
}

export const expectedDeviations: Readonly<Record<string, number>> = Object.fromEntries(
  Array.from(sums, ([symbol, { count, sum, squares }]) => [symbol, Math.sqrt(squares / count - (sum / count) ** 2)]),
)

export const expectedRisk = Object.values(expectedDeviations).reduce((a, b) => a + b) / sums.size
