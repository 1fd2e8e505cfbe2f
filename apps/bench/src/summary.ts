// From rounds to medians.
import { median } from './figures'
import type { Series } from './schedule'
import type { Aim, Unit } from './figures'

export interface Row {
  readonly name: string
  readonly unit: Unit
  readonly median: number
  readonly lowest: number
  readonly highest: number
  readonly aim?: Aim & { readonly reached: boolean }
}

export interface Summary {
  readonly workload: string
  readonly title: string
  readonly transport: string
  readonly server?: string
  readonly durability?: string
  readonly floors: Readonly<Record<string, string>>
  readonly rounds: number
  readonly rows: readonly Row[]
  readonly failures: readonly string[]
}

export function summarize({ workload, transport, rounds, failures }: Series): Summary {
  const [first] = rounds
  return {
    workload: workload.name,
    title: workload.title,
    transport,
    ...(first === undefined ? {} : { server: first.server, durability: first.durability }),
    floors: first?.floors ?? {},
    rounds: rounds.length,
    rows: (first?.figures ?? []).map(({ name, unit, aim }): Row => {
      const values = rounds.flatMap(({ figures }) =>
        figures.filter((figure) => figure.name === name).map(({ value }) => value),
      )
      const middle = median(values)
      const row = { name, unit, median: middle, lowest: Math.min(...values), highest: Math.max(...values) }
      return aim === undefined ? row : { ...row, aim: { ...aim, reached: middle <= aim.most } }
    }),
    failures,
  }
}
