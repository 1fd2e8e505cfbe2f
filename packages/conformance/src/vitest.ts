import assert from 'node:assert/strict'
import type { PartitionSession, Space } from '@tasks/core'
import { afterAll, describe, onTestFinished, test, type TestContext } from 'vitest'
import type { TransportHarness } from './harness'
import { listenerCases } from './listener/listener-cases'
import type { ListenerHarness } from './listener/listener-harness'
import type { SuiteOptions } from './plan'
import { planSuite } from './plan'
import { Recorder } from './recorder'

export type { ListenerHarness, TransportHarness, SuiteOptions }

/** Cases end by themselves when something does not happen. */
const CASE_MS = 120_000

export interface VitestSuiteOptions extends SuiteOptions {
  /** Runs as many cases at a time as vitest's `maxConcurrency` says: most of them mostly wait. Default: one after the other. */
  readonly concurrent?: boolean
}

/** Holds a transport to every promise, as vitest tests. */
export function describeTransport(name: string, harness: TransportHarness, options: VitestSuiteOptions = {}): void {
  const plan = planSuite(harness, options)
  const recorder = new Recorder(name, harness, options)
  describe(`${name} keeps its promises`, () => {
    afterAll(() => recorder.end())
    test('skips only cases that exist', () => assert.deepEqual(plan.unknownSkips, []))
    for (const planned of plan.cases) {
      const concurrent = options.concurrent === true && !planned.isAlone
      // oxlint-disable-next-line vitest/expect-expect -- the case asserts
      test(
        `${planned.case.promise}: ${planned.case.name}`,
        { timeout: plan.timeoutMs, concurrent },
        async ({ skip }) => {
          if (planned.skip === undefined) return recorder.run(planned)
          recorder.skip(planned)
          skip(planned.skip)
        },
      )
    }
  })
}

/** Holds a listener to every promise, as vitest tests. */
export function describeListener(name: string, harness: ListenerHarness): void {
  describe(`${name} keeps the promises of a listener`, () => {
    afterAll(() => harness.dispose?.())
    for (const one of listenerCases) {
      // oxlint-disable-next-line vitest/expect-expect -- the case asserts
      test(`${one.name}`, { timeout: CASE_MS }, () => one.run(harness))
    }
  })
}

export interface Owned {
  readonly session: PartitionSession
  /** Gives the partition back. */
  end(): Promise<void>
}

/** Owns partition 0 until it is given back, or until the test ends, which has to be named if others run beside it: for an adapter's tests of its own. */
export function own(
  space: Space,
  leaseMs = 60_000,
  ctx: Pick<TestContext, 'onTestFinished'> = { onTestFinished },
): Promise<Owned> {
  const stopping = new AbortController()
  ctx.onTestFinished(() => stopping.abort())
  return new Promise((resolve, reject) => {
    const running = space.own({ leaseMs }).run(async (session) => {
      const end = (): Promise<void> => {
        stopping.abort()
        return running
      }
      if (session.partition === 0) resolve({ session, end })
      await new Promise<void>((ended) => session.lost.addEventListener('abort', () => ended(), { once: true }))
    }, stopping.signal)
    running.catch(reject)
  })
}
