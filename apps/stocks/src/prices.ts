// Monthly closing prices of five stocks, 2000 to 2010: `stocks.csv` of the npm package vega-datasets.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

// The package's `exports` hide its data: it lies beside what they show.
const FILE = join(dirname(createRequire(import.meta.url).resolve('vega-datasets')), '../data/stocks.csv')

/** The prices of one stock, oldest first. */
export async function readPrices(stock: string): Promise<number[]> {
  const rows = await readRows()
  const prices = rows.filter(([symbol]) => symbol === stock).map(([, , price]) => Number(price))
  if (prices.length === 0)
    throw new RangeError(`there are no prices of "${stock}"; known: ${[...symbolsOf(rows)].join(', ')}`)
  return prices
}

/** The stocks that there are prices of. */
export async function readSymbols(): Promise<string[]> {
  return [...symbolsOf(await readRows())]
}

function symbolsOf(rows: readonly (readonly string[])[]): ReadonlySet<string> {
  return new Set(rows.map(([symbol]) => symbol!))
}

/** `symbol,date,price`, without the heading. No field holds a comma. */
async function readRows(): Promise<string[][]> {
  const lines = (await readFile(FILE, 'utf8')).trim().split('\n')
  return lines.slice(1).map((line) => line.trim().split(','))
}
