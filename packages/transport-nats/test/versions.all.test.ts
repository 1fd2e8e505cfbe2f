// The promises on every server that is promised, each built from its Go module once.
import { quickCases } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { NoBroker, startNats, type Server } from '@tasks/dev-config/brokers'
import { test } from 'vitest'
import { conformanceHarness } from './support/harness'

for (const version of ['2.10.27', '2.12.1', '2.15.2']) {
  /** Go is not on every machine: a skip, everywhere. */
  const server: Server | NoBroker = await startNats({ version }).catch((error: unknown) => {
    if (error instanceof NoBroker) return error
    throw error
  })
  // oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
  if (server instanceof NoBroker) test(`conforms on ${version}`, (ctx) => ctx.skip(server.message))
  else describeTransport(`nats ${version}`, await conformanceHarness(server), { cases: quickCases, concurrent: true })
}
