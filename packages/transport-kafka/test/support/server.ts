import type { KafkaOptions, Server } from '@tasks/dev-config/brokers'
import { startKafka } from '@tasks/dev-config/brokers'
import * as brokers from '@tasks/dev-config/brokers/in-tests'
import type { TestContext } from 'vitest'

/** A Kafka for one test, which is skipped if there can be none. */
export function newServer(ctx: TestContext, options: KafkaOptions = {}): Promise<Server> {
  return brokers.newServer(ctx, () => startKafka({ brief: true, ...options }))
}
