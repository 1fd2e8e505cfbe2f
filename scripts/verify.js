// Everything that can be known without running a test. `npm run verify` runs all of it, `npm run verify lint knip` some.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkApi } from './check-api.js'
import { checkExports } from './check-exports.js'
import { writeJunit } from './junit.js'
import { root, run, seconds } from './processes.js'
import { setup } from './setup.js'

/** @typedef {() => Promise<boolean>} Check */

/** @type {Record<string, Check>} In the order in which they run. */
const checks = {
  lockfile,
  // One program of all packages: core is read once.
  types: tool(process.execPath, 'node_modules/typescript-native/bin/tsc', '-p', '.'),
  lint: tool('oxlint', '--type-aware', '--deny-warnings', '--report-unused-disable-directives'),
  format: tool('oxfmt', '--check'),
  build: turbo('build'),
  exports: checkExports,
  api: checkApi,
  boundaries: tool('turbo', 'boundaries'),
  knip: tool('knip', '--no-config-hints'),
}

/** @type {Record<string, Check>} What changes files, only by name. */
const fixes = {
  'format:write': tool('oxfmt'),
  'api:update': () => checkApi({ update: true }),
}

/** @param {string[]} args @returns {Check} */
function turbo(...args) {
  // As many as there are cores: ten compilers on two take longer than two and two.
  return tool(
    'turbo',
    'run',
    ...args,
    '--concurrency=100%',
    '--output-logs=errors-only',
    '--log-order=grouped',
    '--ui=stream',
  )
}

/** @param {string} command @param {string[]} args @returns {Check} */
function tool(command, ...args) {
  return async () => (await run(command, args)).code === 0
}

/** The lockfile must install from whatever registry a machine is set to, and pnpm is pinned in two places. */
async function lockfile() {
  const problems = []
  const lock = readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8')
  const hosts = lock.match(/^.*\bhttps?:\/\/.*$/gm) ?? []
  for (const line of hosts) {
    if (!line.includes('deprecated:')) problems.push(`pnpm-lock.yaml names a host: ${line.trim()}`)
  }
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8').match(/^ {2}pnpm: (\S+)$/m)?.[1]
  if (packageManager !== `pnpm@${catalog}`)
    problems.push(`package.json says ${packageManager}, the catalog pnpm@${catalog}`)
  for (const problem of problems) console.error(problem)
  return problems.length === 0
}

await setup()
const named = process.argv.slice(2)
const known = { ...checks, ...fixes }
for (const name of named) {
  if (name in known) continue
  console.error(`verify: there is no "${name}"; known: ${Object.keys(known).join(', ')}`)
  process.exit(2)
}

const cases = []
for (const name of named.length > 0 ? named : Object.keys(checks)) {
  const since = performance.now()
  const ok = await known[name]?.()
  console.log(`${ok ? '✓' : '✗'} ${name} ${seconds(since)}`)
  cases.push({
    name,
    seconds: (performance.now() - since) / 1000,
    ...(ok ? {} : { failure: `npm run verify ${name}` }),
  })
}
if (named.length === 0) writeJunit('verify', cases)
process.exitCode = cases.some((c) => 'failure' in c) ? 1 : 0
