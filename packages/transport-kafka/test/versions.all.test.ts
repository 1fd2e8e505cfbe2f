import { quickCases } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { OLD_KAFKA, startKafka } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { test } from 'vitest'
import { conformanceHarness } from './support/harness'

const server = await serverOrReason(() => startKafka({ version: OLD_KAFKA, brief: true }))
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test(`conforms on ${OLD_KAFKA}`, (ctx) => ctx.skip(server))
else describeTransport(`kafka ${OLD_KAFKA}`, await conformanceHarness(server), { cases: quickCases, concurrent: true })
