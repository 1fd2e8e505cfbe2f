// Brokers in tests of vitest.
import { onTestFinished } from 'vitest'
import { NoBroker } from './programs.js'

/** @typedef {import('./server.js').Server} Server */

/**
 * A server, or why there is none on this machine: said loudly, and, where everything must run, a failure.
 *
 * @param {() => Promise<Server>} start @returns {Promise<Server | string>}
 */
export async function serverOrReason(start) {
  try {
    return await start()
  } catch (error) {
    if (!(error instanceof NoBroker) || process.env['CI'] !== undefined) throw error
    console.warn(`\n*** skipped: ${error.message}\n`)
    return error.message
  }
}

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
