// What the workers have reported, of one pipeline. It survives them: the demo keeps it.
import type { Report } from './reports'

interface Entry {
  readonly task: string
  readonly args: readonly unknown[]
  starts: number
  ended: boolean
}

export class Ledger {
  readonly #pipelineId: string
  readonly #entries = new Map<string, Entry>()

  constructor(pipelineId: string) {
    this.#pipelineId = pipelineId
  }

  record(report: Report): void {
    if (report.type === 'ready' || report.rootId !== this.#pipelineId) return
    const known = this.#entries.get(report.taskId)
    if (report.type === 'end') {
      if (known !== undefined) known.ended = true
    } else if (known !== undefined) known.starts++
    else this.#entries.set(report.taskId, { task: report.task, args: report.args, starts: 1, ended: false })
  }

  /** Task entries that have started. */
  get tasks(): number {
    return this.#entries.size
  }

  get ended(): number {
    return [...this.#entries.values()].filter(({ ended }) => ended).length
  }

  /** Every start counts. */
  get attempts(): number {
    return [...this.#entries.values()].reduce((sum, { starts }) => sum + starts, 0)
  }

  get ranTwice(): number {
    return [...this.#entries.values()].filter(({ starts }) => starts > 1).length
  }

  /** Names of the tasks that have started and not ended. */
  get running(): readonly string[] {
    return [...this.#entries.values()].filter(({ ended }) => !ended).map(({ task }) => task)
  }

  /** The deviations as the tasks returned them: they are what `average` was given, in the order of the stocks. */
  deviations(stocks: readonly string[]): Readonly<Record<string, number>> {
    const average = [...this.#entries.values()].find(({ task }) => task === 'average')
    const given = average?.args[0]
    if (!Array.isArray(given) || given.length !== stocks.length)
      throw new Error(`average was given ${JSON.stringify(given)} for ${stocks.join(', ')}`)
    return Object.fromEntries(stocks.map((stock, index) => [stock, given[index] as number]))
  }
}
