import { NoBroker } from './programs.js'

/** @typedef {import('./server.js').Server} Server */

/**
 * A server for tests, or why there is none on this machine: said loudly, and, where everything must run, a failure.
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
