// What the conformance suite does to this transport: at the seam to the client library, with a real broker behind it. What networks do is in traps.test.ts.
import type { TransportHarness, Unknown } from '@tasks/conformance'
import type { Transport } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'
import type { Server } from '@tasks/dev-config/brokers'
import kafkajs from 'kafkajs'
import type { Batch, KafkaDriver, Stored, TopicSpec, Transactor } from '../../src/driver'
import { unavailable } from '../../src/failure'
import { kafkajsDriver } from '../../src/kafkajs/driver'
import { transportOn } from '../../src/transport'
import { parseUrl } from '../../src/url'

interface Faults {
  commit?: Unknown | undefined
  produce?: Unknown | undefined
  stalled: boolean
}

/** A driver of which calls are lost, and answers. */
function faulty(driver: KafkaDriver, faults: Faults, made: Map<string, number>, onClose: () => void): KafkaDriver {
  const inDoubt = (): Error => unavailable('a fault that was asked for', 'no answer', 'unknown')
  return {
    cluster: () => driver.cluster(),
    describe: (topics) => driver.describe(topics),
    create(topics: readonly TopicSpec[], replicas) {
      for (const { topic } of topics) made.set(topic, performance.now())
      return driver.create(topics, replicas)
    },
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
    read: (place, from) => driver.read(place, from),
    follow: (place, from, onChunk) => driver.follow(place, from, onChunk),
    range: (place) => driver.range(place),
    offsetAt: (place, time) => driver.offsetAt(place, time),
    truncate: (place, before) => driver.truncate(place, before),
    async takeOver(id): Promise<Transactor> {
      const transactor = await driver.takeOver(id)
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
    close() {
      onClose()
      driver.close()
    },
  }
}

function isHeartbeat({ topic, records }: Batch): boolean {
  return topic.endsWith('.owners') && records.every(({ value }) => String(value).includes('"beat"'))
}

const OLD_MS = 20_000

export async function conformanceHarness(server: Server): Promise<TransportHarness> {
  const made = new WeakMap<Transport, { readonly faults: Faults; readonly driver: KafkaDriver }>()
  const open = new Set<object>()
  /** Since when they are there. */
  const topics = new Map<string, number>()
  const client = { ...parseUrl(server.url).client, logLevel: kafkajs.logLevel.NOTHING }
  const admin = new kafkajs.Kafka(client).admin()

  const create = async (): Promise<Transport> => {
    // A broker of half a gigabyte does not keep the topics of a hundred namespaces. No case takes so long.
    const old = [...topics].filter(([, since]) => performance.now() - since > OLD_MS).map(([topic]) => topic)
    if (open.size === 0 && old.length > 0) {
      for (const topic of old) topics.delete(topic)
      await admin.connect()
      await admin.deleteTopics({ topics: old }).catch(() => {})
      await admin.disconnect()
    }
    const faults: Faults = { stalled: false }
    const key = {}
    open.add(key)
    const driver = faulty(
      kafkajsDriver({ client, clock: systemClock, patienceMs: 10_000, onLog: () => {} }),
      faults,
      topics,
      () => open.delete(key),
    )
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
    restartBroker: () => server.restart(),
    faults: {
      commit: (transport, fault) => void (made.get(transport)!.faults.commit = fault),
      send: (transport, fault) => void (made.get(transport)!.faults.produce = fault),
      settle: (transport, fault) => void (made.get(transport)!.faults.produce = fault),
    },
    leaseMs: 1_500,
    eventuallyMs: 20_000,
    settleMs: 300,
    dispose: () => server.stop(),
  }
}
