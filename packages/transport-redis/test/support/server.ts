// A real server for a test.
import type { RedisOptions, Server } from '@tasks/dev-config/brokers'
import { NoBroker, startRedis } from '@tasks/dev-config/brokers'
import type { TestContext } from 'vitest'
import { onTestFinished } from 'vitest'

/** A server, or why there is none on this machine. Where everything must run, that is a failure. */
export async function serverOrReason(options: RedisOptions = {}): Promise<Server | string> {
  try {
    return await startRedis(options)
  } catch (error) {
    if (!(error instanceof NoBroker) || process.env['CI'] !== undefined) throw error
    console.warn(`\n*** no Redis here: ${error.message}\n`)
    return `no Redis here: ${error.message}`
  }
}

/** A server for one test, which is skipped if there can be none. */
export async function newServer(ctx: TestContext, options: RedisOptions = {}): Promise<Server> {
  const server = await serverOrReason(options)
  if (typeof server === 'string') return ctx.skip(server)
  onTestFinished(() => server.stop())
  return server
}
