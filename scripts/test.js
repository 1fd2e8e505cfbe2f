// `npm test`: every suite, then the sum of their JUnit files. `npm run test:all`: the long tier too.
// Suites wait for processes and servers more than they compute: three run at a time, and what one of them says is printed when it has ended.
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

const LANES = 3

await setup()
const { fromSource } = await import('./source.js')

const args = process.argv.slice(2)
const tier = args[0] === '--tier' ? args.splice(0, 2)[1] : undefined
const chosen = choose(args)
const minutes = tier === 'all' ? 40 : 8

rmSync(reportsFolder, { recursive: true, force: true })
mkdirSync(reportsFolder)

/** @type {Map<Suite, import('./summary.js').Outcome>} */
const outcomes = new Map()
const waiting = [...chosen]
const lanes = Math.min(LANES, chosen.length)
await Promise.all(Array.from({ length: lanes }, lane))
const { lines, failed } = summarize(
  chosen.map((suite) => /** @type {import('./summary.js').Outcome} */ (outcomes.get(suite))),
  (suite) => readJunit(suite.name),
)
for (const line of ['', ...lines]) console.log(line)
process.exitCode = failed > 0 ? 1 : 0

/** Runs suites one after the other until none is left that may begin; whoever ends the one it must follow goes on with it. */
async function lane() {
  for (;;) {
    const at = waiting.findIndex(({ after }) => !chosen.some((suite) => suite.name === after && !outcomes.has(suite)))
    const [suite] = at < 0 ? [] : waiting.splice(at, 1)
    if (suite === undefined) return
    const since = performance.now()
    if (lanes > 1) console.log(`── ${suite.name} has begun`)
    else console.log(titleOf(suite))
    const { code, timedOut, stdout } = await start(suite)
    const took = seconds(since)
    if (lanes > 1) console.log(`${titleOf(suite)}\n${stdout}`)
    console.log(`── ${suite.name}: ${took}`)
    outcomes.set(suite, { suite, code, took, ...(timedOut ? { stoppedAfter: minutes } : {}) })
  }
}

/** @param {Suite} suite */
function titleOf({ name }) {
  return `\n── ${name} ${'─'.repeat(Math.max(2, 100 - name.length))}`
}

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
  const colours = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}
  const env = { TASKS_SUITE: suite.name, TASKS_TIER: tier, ...suite.env, ...(lanes > 1 ? colours : {}) }
  const node = suite.node === undefined ? process.execPath : await nodeBinary(suite.node)
  return run(node, argsOf(suite, cwd), {
    cwd,
    env,
    timeoutMs: minutes * 60_000,
    ...(lanes > 1 ? { capture: 'all' } : {}),
  })
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
