import assert from 'node:assert/strict'
import { afterAll, describe, test } from 'vitest'
import type { TransportHarness } from './harness'
import type { SuiteOptions } from './plan'
import { planSuite } from './plan'
import { Recorder } from './recorder'

export type { TransportHarness, SuiteOptions }

/** Holds a transport to every promise, as vitest tests. */
export function describeTransport(name: string, harness: TransportHarness, options: SuiteOptions = {}): void {
  const plan = planSuite(harness, options)
  const recorder = new Recorder(name, harness, options)
  describe(`${name} keeps its promises`, () => {
    afterAll(() => recorder.end())
    test('skips only cases that exist', () => assert.deepEqual(plan.unknownSkips, []))
    for (const planned of plan.cases) {
      // oxlint-disable-next-line vitest/expect-expect -- the case asserts
      test(`${planned.case.promise}: ${planned.case.name}`, { timeout: plan.timeoutMs }, async ({ skip }) => {
        if (planned.skip === undefined) return recorder.run(planned)
        recorder.skip(planned)
        skip(planned.skip)
      })
    }
  })
}
