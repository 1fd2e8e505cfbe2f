// Brokers in tests of vitest.
import { onTestFinished } from 'vitest'
import { serverOrReason } from './server-or-reason.js'

export { serverOrReason }

/** @typedef {import('./server.js').Server} Server */

/**
 * A server for one test, which is skipped if there can be none.
 *
 * @param {import('vitest').TestContext} ctx @param {() => Promise<Server>} start @returns {Promise<Server>}
 */
export async function newServer(ctx, start) {
  const server = await serverOrReason(start)
  if (typeof server === 'string') return ctx.skip(server)
  onTestFinished(() => server.stop())
  return server
}
