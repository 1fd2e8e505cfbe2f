// The other library that can make the connections.
import { quickCases } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { inject, test } from 'vitest'
import { platformaticClient } from '../src/clients'
import { parseUrl } from '../src/url'
import { conformanceHarness } from './support/harness'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const isOld = major < 22 || (major === 22 && minor < 22)
const broker = isOld ? `@platformatic/kafka needs Node 22.22, and this is ${process.version}` : inject('broker')

// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof broker === 'string') test('conforms on @platformatic/kafka', (ctx) => ctx.skip(broker))
else {
  const bootstrapBrokers = parseUrl(broker.url).client.brokers as string[]
  const client = platformaticClient({ bootstrapBrokers })
  const cases = quickCases.filter(({ requires }) => !requires?.includes('restartBroker'))
  describeTransport('kafka by @platformatic/kafka', await conformanceHarness(broker, client), {
    cases,
    concurrent: true,
  })
}
