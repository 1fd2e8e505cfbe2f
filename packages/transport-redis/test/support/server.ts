import type { RedisOptions, Server } from '@tasks/dev-config/brokers'
import { startRedis } from '@tasks/dev-config/brokers'
import * as brokers from '@tasks/dev-config/brokers/in-tests'
import type { TestContext } from 'vitest'

/** A Redis for one test, which is skipped if there can be none. */
export function newServer(ctx: TestContext, options: RedisOptions = {}): Promise<Server> {
  return brokers.newServer(ctx, () => startRedis(options))
}
