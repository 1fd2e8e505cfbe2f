import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { TransportHarness } from './harness'
import { listenerCases } from './listener/listener-cases'
import type { ListenerHarness } from './listener/listener-harness'
import type { SuiteOptions } from './plan'
import { planSuite } from './plan'
import { Recorder } from './recorder'

export type { ListenerHarness, TransportHarness, SuiteOptions }

/** Cases end by themselves when something does not happen. */
const CASE_MS = 120_000

/** Holds a transport to every promise, as tests of node:test. */
export function describeTransport(name: string, harness: TransportHarness, options: SuiteOptions = {}): void {
  const plan = planSuite(harness, options)
  const recorder = new Recorder(name, harness, options)
  void describe(`${name} keeps its promises`, () => {
    after(() => recorder.end())
    void test('skips only cases that exist', () => assert.deepEqual(plan.unknownSkips, []))
    for (const planned of plan.cases) {
      void test(`${planned.case.promise}: ${planned.case.name}`, { timeout: plan.timeoutMs }, async (context) => {
        if (planned.skip === undefined) return recorder.run(planned)
        recorder.skip(planned)
        context.skip(planned.skip)
      })
    }
  })
}

/** Holds a listener to every promise, as tests of node:test. */
export function describeListener(name: string, harness: ListenerHarness): void {
  void describe(`${name} keeps the promises of a listener`, () => {
    after(() => harness.dispose?.())
    for (const one of listenerCases) void test(one.name, { timeout: CASE_MS }, () => one.run(harness))
  })
}
