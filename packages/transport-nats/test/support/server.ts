import type { NatsOptions, Server } from '@tasks/dev-config/brokers'
import { startNats } from '@tasks/dev-config/brokers'
import * as brokers from '@tasks/dev-config/brokers/in-tests'
import type { TestContext } from 'vitest'

/** The long tier runs some files on each version that is promised; else it is whatever nats-server there is. */
export const VERSION = process.env['TASKS_NATS_VERSION']

/** A nats-server for one test, which is skipped if there can be none. */
export function newServer(ctx: TestContext, options: NatsOptions = {}): Promise<Server> {
  return brokers.newServer(ctx, () => startNats({ ...(VERSION !== undefined && { version: VERSION }), ...options }))
}
