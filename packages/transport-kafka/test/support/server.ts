import { systemClock } from '@tasks/core/adapter'
import type { KafkaOptions, Server } from '@tasks/dev-config/brokers'
import { startKafka } from '@tasks/dev-config/brokers'
import * as brokers from '@tasks/dev-config/brokers/in-tests'
import type { KafkaConfig } from 'kafkajs'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'vitest'
import { inject } from 'vitest'
import { kafkajsClient } from '../../src/clients'
import type { KafkaDriver } from '../../src/driver'
import { driverOn } from '../../src/protocol/driver'
import type { Broker } from './shared-broker'

/** A Kafka for one test, which is skipped if there can be none. */
export function newServer(ctx: TestContext, options: KafkaOptions = {}): Promise<Server> {
  return brokers.newServer(ctx, () => startKafka({ brief: true, ...options }))
}

/** The Kafka that the files of the suite share; a test is skipped if there is none. */
export function sharedBroker(ctx: TestContext): Broker {
  const broker = inject('broker')
  return typeof broker === 'string' ? ctx.skip(broker) : broker
}

/** A driver beside the transport's, until the test ends. */
export function newDriver(ctx: TestContext, config: KafkaConfig): KafkaDriver {
  const driver = driverOn({ client: kafkajsClient(config, () => {}), clock: systemClock, patienceMs: 10_000 })
  ctx.onTestFinished(() => driver.close())
  return driver
}

/** Nobody else's on the broker that is shared. */
export function newNamespace(): string {
  return `n${randomBytes(6).toString('hex')}`
}

/** Its functions, for a test to put others in place of some. */
export function boundTo(driver: KafkaDriver): KafkaDriver {
  return {
    cluster: () => driver.cluster(),
    describe: (topics) => driver.describe(topics),
    ends: (id) => driver.ends(id),
    create: (topics, replicas) => driver.create(topics, replicas),
    produce: (batches) => driver.produce(batches),
    read: (place, from) => driver.read(place, from),
    follow: (place, from, onChunk) => driver.follow(place, from, onChunk),
    range: (place) => driver.range(place),
    offsetAt: (place, time) => driver.offsetAt(place, time),
    truncate: (place, before) => driver.truncate(place, before),
    takeOver: (id, isWanted) => driver.takeOver(id, isWanted),
    close: () => driver.close(),
  }
}
