import { describeTransport } from '@tasks/conformance/vitest'
import { NoBroker, startRedis, type Server } from '@tasks/dev-config/brokers'
import { test } from 'vitest'
import { conformanceHarness } from './support/harness'

/** Not every distribution has its package: a skip, everywhere. */
const server: Server | NoBroker = await startRedis({ program: 'valkey-server' }).catch((error: unknown) => {
  if (error instanceof NoBroker) return error
  throw error
})
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (server instanceof NoBroker) test('conforms on Valkey', (ctx) => ctx.skip(server.message))
else describeTransport('valkey', await conformanceHarness(server))
