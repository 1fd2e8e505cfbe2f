import { conformanceCases, quickCases } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { startNats } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { test } from 'vitest'
import { conformanceHarness } from './support/harness'

const server = await serverOrReason(() => startNats())
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test('conforms', (ctx) => ctx.skip(server))
else {
  // Every lane mode belongs to the long tier.
  const cases = process.env['TASKS_TIER'] === 'all' ? conformanceCases : quickCases
  describeTransport('nats', await conformanceHarness(server), { cases, concurrent: true })
}
