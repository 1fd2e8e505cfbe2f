import type { TransportHarness } from './harness'
import type { PlannedCase, SuiteOptions } from './plan'
import type { CaseResult } from './report'
import { writeReport } from './report'

/** Runs cases for a runner, and keeps what came of them for the report. */
export class Recorder {
  readonly #adapter: string
  readonly #harness: TransportHarness
  readonly #folder: string | undefined
  readonly #results: CaseResult[] = []

  /** @param adapter its name in the report */
  constructor(adapter: string, harness: TransportHarness, options: SuiteOptions) {
    this.#adapter = adapter
    this.#harness = harness
    this.#folder = options.report ?? process.env['TASKS_CONFORMANCE_REPORT']
  }

  async run(planned: PlannedCase): Promise<void> {
    try {
      await planned.run()
      this.#note(planned, 'kept')
    } catch (error) {
      this.#note(planned, 'broken', error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  skip(planned: PlannedCase): void {
    this.#note(planned, 'skipped', planned.skip)
  }

  async end(): Promise<void> {
    if (this.#folder !== undefined) writeReport(this.#folder, { adapter: this.#adapter, results: this.#results })
    await this.#harness.dispose?.()
  }

  #note(planned: PlannedCase, outcome: CaseResult['outcome'], reason?: string): void {
    const { name, promise } = planned.case
    this.#results.push(reason === undefined ? { name, promise, outcome } : { name, promise, outcome, reason })
  }
}
