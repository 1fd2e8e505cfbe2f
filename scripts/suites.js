// Every suite there is. A suite declared here that leaves no report has failed.

/**
 * @typedef {object} Suite
 * @property {string} name       its report is reports/<name>.xml
 * @property {'vitest' | 'node:test' | 'script'} runner
 * @property {string} [cwd]      where it runs; the root if absent
 * @property {string[]} files    for vitest, filters (none: all files); for node:test, how they end; for a script, the script and its arguments
 * @property {string} [after]    the suite that must have ended first, if it was chosen
 * @property {'all'} [tier]      only in `npm run test:all`
 * @property {Record<string, string>} [env]   settings of its tests
 * @property {string} [node]     a version of Node other than the one in use
 */

// The npm package `node` brings them.
const NODE_22 = '22.23.3'
const NODE_24 = '24.21.0'

/** Those that take long come first, so that none of them runs alone at the end. @type {readonly Suite[]} */
export const suites = [
  { name: 'verify', runner: 'script', files: ['scripts/verify.js'] },
  vitest('core', 'packages/core'),
  vitest('transport-kafka', 'packages/transport-kafka'),
  vitest('transport-sqlite', 'packages/transport-sqlite'),
  vitest('transport-nats', 'packages/transport-nats'),
  vitest('transport-redis', 'packages/transport-redis'),
  vitest('listener-timer', 'packages/listener-timer'),
  vitest('listener-http', 'packages/listener-http'),
  vitest('listener-queue', 'packages/listener-queue'),
  vitest('cli', 'packages/cli'),
  vitest('stocks', 'apps/stocks'),
  vitest('approval', 'apps/approval'),
  vitest('webhook-inbox', 'apps/webhook-inbox'),
  vitest('bench', 'apps/bench'),
  { name: 'pack-check', runner: 'script', files: ['scripts/pack-check.js'], after: 'verify' },
  vitest('conformance', 'packages/conformance'),
  vitest('simulation', 'packages/simulation'),
  { name: 'conformance-node-test', runner: 'node:test', cwd: 'packages/conformance', files: ['.node-test.ts'] },
  vitest('oracle', 'packages/oracle'),
  { name: 'scripts', runner: 'node:test', cwd: 'scripts', files: ['.test.js'] },

  {
    ...vitest('simulation-mutants', 'packages/simulation'),
    files: ['test/mutants'],
    tier: 'all',
    env: { TASKS_MUTANTS: 'all' },
  },
  ...['2.10.27', '2.12.1', '2.15.2'].map((version) => ({
    ...vitest(`transport-nats-${version}`, 'packages/transport-nats'),
    files: ['test/full', 'test/journal', 'test/kill', 'test/open', 'test/programs', 'test/queue', 'test/traps'],
    tier: /** @type {const} */ ('all'),
    env: { TASKS_NATS_VERSION: version },
  })),
  { ...vitest('core-queue-lane', 'packages/core'), tier: 'all', env: { TASKS_LANE: 'queue' } },
  { ...vitest('core-mixed-lane', 'packages/core'), tier: 'all', env: { TASKS_LANE: 'mixed' } },
  { ...vitest('core-node-22', 'packages/core'), tier: 'all', node: NODE_22 },
  { ...vitest('core-node-24', 'packages/core'), tier: 'all', node: NODE_24 },
  { ...vitest('conformance-node-22', 'packages/conformance'), tier: 'all', node: NODE_22 },
  { ...vitest('conformance-node-24', 'packages/conformance'), tier: 'all', node: NODE_24 },
  { ...vitest('transport-sqlite-node-22', 'packages/transport-sqlite'), tier: 'all', node: NODE_22 },
  { ...vitest('transport-sqlite-node-24', 'packages/transport-sqlite'), tier: 'all', node: NODE_24 },
  {
    ...vitest('transport-kafka-node-22', 'packages/transport-kafka'),
    files: ['test/platformatic'],
    tier: 'all',
    node: NODE_22,
  },
  { ...vitest('cli-node-22', 'packages/cli'), tier: 'all', node: NODE_22 },
  { ...vitest('cli-node-24', 'packages/cli'), tier: 'all', node: NODE_24 },
]

/** @param {string} name @param {string} cwd @returns {Suite} */
function vitest(name, cwd) {
  return { name, runner: 'vitest', cwd, files: [] }
}
