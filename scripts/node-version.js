// Other versions of Node, from the npm package `node`: nothing is installed globally.
//
//   node scripts/node-version.js 24.21.0 --version
//   node scripts/node-version.js 24 node_modules/vitest/vitest.mjs run     in the current folder, which stays so
import { pathToFileURL } from 'node:url'
import { run } from './processes.js'

/**
 * The path of that Node.
 *
 * @param {string} version
 */
export async function nodeBinary(version) {
  // Only Node itself knows where npx put it.
  const args = ['--yes', '--loglevel=error', '--package', `node@${version}`, '--', 'node', '-p', 'process.execPath']
  const { code, stdout } = await run('npx', args, { capture: true })
  if (code !== 0) throw new Error(`node@${version} could not be had from npm`)
  return stdout.trim()
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [version, ...args] = process.argv.slice(2)
  if (version === undefined) throw new Error('say which version of Node: 22, 24.21.0, …')
  process.exitCode = (await run(await nodeBinary(version), args, { cwd: process.cwd() })).code
}
