import { conformanceCases, quickCases } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { startKafka } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { inject, test } from 'vitest'
import { conformanceHarness } from './support/harness'

// Every lane mode belongs to the long tier, and so does whatever restarts the broker, which takes half a minute: kill.test.ts does it once.
const isLong = process.env['TASKS_TIER'] === 'all'
const cases = isLong ? conformanceCases : quickCases.filter(({ requires }) => !requires?.includes('restartBroker'))
const server = isLong ? await serverOrReason(() => startKafka({ brief: true })) : inject('broker')

// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test('conforms', (ctx) => ctx.skip(server))
else describeTransport('kafka', await conformanceHarness(server), { cases, concurrent: true })
