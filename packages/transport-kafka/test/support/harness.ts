// What the conformance suite does to this transport: at the seam to the client library, with a real broker behind it. What networks do is in traps.test.ts.
import type { TransportHarness, Unknown } from '@tasks/conformance'
import type { Transport } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'
import type { Server } from '@tasks/dev-config/brokers'
import kafkajs from 'kafkajs'
import { kafkajsClient } from '../../src/clients'
import type { Batch, KafkaDriver, Stored, Transactor } from '../../src/driver'
import { unavailable } from '../../src/failure'
import { type Client, driverOn } from '../../src/protocol/driver'
import { transportOn } from '../../src/transport'
import { parseUrl } from '../../src/url'
import { boundTo } from './server'
import type { Broker } from './shared-broker'

interface Faults {
  commit?: Unknown | undefined
  produce?: Unknown | undefined
  stalled: boolean
}

/** A driver of which calls are lost, and answers. */
function faulty(driver: KafkaDriver, faults: Faults): KafkaDriver {
  const inDoubt = (): Error => unavailable('a fault that was asked for', 'no answer', 'unknown')
  return {
    ...boundTo(driver),
    async produce(batches: readonly Batch[]): Promise<readonly Stored[]> {
      if (batches.length === 0) return []
      if (faults.stalled && batches.every(isHeartbeat)) return new Promise(() => {})
      const fault = faults.produce
      faults.produce = undefined
      if (fault !== 'lost') {
        const stored = await driver.produce(batches)
        if (fault === undefined) return stored
      }
      return batches.map(() => ({ ok: false, error: inDoubt() }))
    },
    async takeOver(id, isWanted): Promise<Transactor> {
      const transactor = await driver.takeOver(id, isWanted)
      return {
        async transact(batches) {
          const fault = faults.commit
          faults.commit = undefined
          if (fault === 'lost') throw inDoubt()
          const offsets = await transactor.transact(batches)
          if (fault === 'unanswered') throw inDoubt()
          return offsets
        },
        close: () => transactor.close(),
      }
    },
  }
}

function isHeartbeat({ topic, records }: Batch): boolean {
  return topic.endsWith('.owners') && records.every(({ value }) => String(value).includes('"beat"'))
}

/** @param client for transports */
export async function conformanceHarness(
  server: Broker | Server,
  client: Client = kafkajsClient(parseUrl(server.url).client, () => {}),
): Promise<TransportHarness> {
  const made = new WeakMap<Transport, { readonly faults: Faults; readonly driver: KafkaDriver }>()
  const admin = new kafkajs.Kafka({ ...parseUrl(server.url).client, logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()

  const create = async (): Promise<Transport> => {
    const faults: Faults = { stalled: false }
    const driver = faulty(driverOn({ client, clock: systemClock, patienceMs: 10_000 }), faults)
    const transport = transportOn({ driver })
    made.set(transport, { faults, driver })
    return transport
  }

  const first = await create()
  await first.open({ namespace: 'warm-up', partitions: 1 })
  const { capabilities } = first
  await first.close()

  return {
    name: `kafka ${server.version}`,
    capabilities,
    create,
    crash: (transport) => made.get(transport)!.driver.close(),
    stall(transport) {
      const { faults } = made.get(transport)!
      faults.stalled = true
      return () => void (faults.stalled = false)
    },
    ...('restart' in server && { restartBroker: () => server.restart() }),
    // A broker of half a gigabyte does not keep the topics of a hundred namespaces.
    async forget(namespace) {
      const topics = await admin.listTopics().catch(() => [])
      await admin
        .deleteTopics({ topics: topics.filter((topic) => topic.startsWith(`tasks.${namespace}`)) })
        .catch(() => {})
    },
    faults: {
      commit: (transport, fault) => void (made.get(transport)!.faults.commit = fault),
      send: (transport, fault) => void (made.get(transport)!.faults.produce = fault),
      settle: (transport, fault) => void (made.get(transport)!.faults.produce = fault),
    },
    leaseMs: 1_500,
    eventuallyMs: 20_000,
    settleMs: 300,
    async dispose() {
      await admin.disconnect()
      if ('stop' in server) await server.stop()
    },
  }
}
