import { describeTransport } from '@tasks/conformance/vitest'
import { test } from 'vitest'
import { conformanceHarness } from './support/harness'
import { serverOrReason } from './support/server'

const server = await serverOrReason()
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test('conforms', (ctx) => ctx.skip(server))
else describeTransport('redis', await conformanceHarness(server))
