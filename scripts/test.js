// `npm test`: every suite, then the sum of their JUnit files. `npm run test:all`: the long tier too.
//
//   npm test core cli            some suites only
//   npm run test:all core        a suite in its long form
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { readJunit, reportOf, reportsFolder } from './junit.js'
import { nodeBinary } from './node-version.js'
import { root, run, seconds } from './processes.js'
import { setup } from './setup.js'
import { suites } from './suites.js'
import { summarize } from './summary.js'

/** @typedef {import('./suites.js').Suite} Suite */

await setup()
const { fromSource } = await import('./source.js')

const args = process.argv.slice(2)
const tier = args[0] === '--tier' ? args.splice(0, 2)[1] : undefined
const chosen = choose(args)
const minutes = tier === 'all' ? 30 : 8

rmSync(reportsFolder, { recursive: true, force: true })
mkdirSync(reportsFolder)

/** @type {import('./summary.js').Outcome[]} */
const outcomes = []
for (const suite of chosen) {
  console.log(`\n── ${suite.name} ${'─'.repeat(Math.max(2, 100 - suite.name.length))}`)
  const since = performance.now()
  const { code, timedOut } = await start(suite)
  const took = seconds(since)
  console.log(`── ${suite.name}: ${took}`)
  outcomes.push({ suite, code, took, ...(timedOut ? { stoppedAfter: minutes } : {}) })
}
const { lines, failed } = summarize(outcomes, (suite) => readJunit(suite.name))
for (const line of ['', ...lines]) console.log(line)
process.exitCode = failed > 0 ? 1 : 0

/** @param {readonly string[]} names */
function choose(names) {
  const inTier = suites.filter((suite) => suite.tier === undefined || suite.tier === tier)
  for (const name of names) {
    if (inTier.some((suite) => suite.name === name)) continue
    console.error(`test: there is no suite "${name}"; known: ${inTier.map((suite) => suite.name).join(', ')}`)
    process.exit(2)
  }
  return names.length === 0 ? inTier : inTier.filter((suite) => names.includes(suite.name))
}

/** @param {Suite} suite */
async function start(suite) {
  const cwd = join(root, suite.cwd ?? '.')
  const env = { TASKS_SUITE: suite.name, TASKS_TIER: tier }
  const node = suite.node === undefined ? process.execPath : await nodeBinary(suite.node)
  return run(node, argsOf(suite, cwd), { cwd, env, timeoutMs: minutes * 60_000 })
}

/** @param {Suite} suite @param {string} cwd */
function argsOf({ name, runner, files }, cwd) {
  if (runner === 'script') return files
  if (runner === 'vitest') return [join(cwd, 'node_modules/vitest/vitest.mjs'), 'run', ...files]
  const reporters = ['spec', 'stdout', 'junit', reportOf(name)]
  const found = files.flatMap((suffix) => testFiles(join(cwd, 'test'), suffix))
  // Given no file, node:test would look for its own idea of tests.
  if (found.length === 0)
    return ['--eval', `console.log('no file of ${name} ends in ${files.join(' or ')}'); process.exit(1)`]
  const flags = reporters.map((value, i) => `--test-reporter${i % 2 === 0 ? '' : '-destination'}=${value}`)
  return [...fromSource, '--test', ...flags, ...found]
}

/** Node 20 has no glob. @param {string} folder @param {string} suffix */
function testFiles(folder, suffix) {
  if (!existsSync(folder)) return []
  const all = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return all.filter((file) => file.endsWith(suffix)).map((file) => join(folder, file))
}
