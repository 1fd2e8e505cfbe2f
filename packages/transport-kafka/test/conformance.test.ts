import { conformanceCases, quickCases } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { startKafka } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { test } from 'vitest'
import { conformanceHarness } from './support/harness'

const server = await serverOrReason(() => startKafka({ brief: true }))
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test('conforms', (ctx) => ctx.skip(server))
else {
  // Every lane mode belongs to the long tier, and restarts that take a broker half a minute: kill.test.ts has one.
  const briefCases = quickCases.filter(({ requires }) => !requires?.includes('restartBroker'))
  const cases = process.env['TASKS_TIER'] === 'all' ? conformanceCases : briefCases
  describeTransport('kafka', await conformanceHarness(server), { cases })
}
