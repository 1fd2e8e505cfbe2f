export type Unit = '/s' | 'ms' | 'µs' | 'B' | 'MiB' | 'x' | ''

export interface Aim {
  readonly most: number
}

/** One number of one round. Its name is the row of the table; the summary takes the median over the rounds. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: Unit
  readonly aim?: Aim
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** By linear interpolation. NaN without values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}
