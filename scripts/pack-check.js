// Packs every package that is published, installs the tarballs with npm into an empty project outside the workspace, and
// uses them there as a user would: each entry is imported and required, each README's example type-checks and runs as
// ESM and as CJS, the commands start.
//
// An example is the ```ts block between <!-- example:start --> and <!-- example:end -->. A line of it that says
// `// prints: text` must find its text on stdout.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { NoBroker, startKafka, startNats, startRedis } from '../packages/dev-config/brokers/index.js'
import { writeJunit } from './junit.js'
import { packInto, published } from './packages.js'
import { root, run } from './processes.js'
import { setup } from './setup.js'

/** @typedef {import('./packages.js').Package} Package */

/** What an example needs that reads this variable. @type {Readonly<Record<string, typeof startKafka | typeof startNats | typeof startRedis>>} */
const BROKERS = { TASKS_KAFKA_URL: startKafka, TASKS_NATS_URL: startNats, TASKS_REDIS_URL: startRedis }

/** @type {Parameters<typeof writeJunit>[1][number][]} */
const cases = []
const project = mkdtempSync(join(tmpdir(), 'tasks-pack-check-'))

await setup()
try {
  await main()
} finally {
  rmSync(project, { recursive: true, force: true })
  writeJunit('pack-check', cases)
  process.exitCode = cases.some((c) => c.failure !== undefined) ? 1 : 0
}

async function main() {
  const packages = published()
  if (
    !(await check('packages build', () => must('turbo', ['run', 'build', '--output-logs=errors-only', '--ui=stream'])))
  )
    return
  const installed = await check('tarballs install into an empty project with npm', () => install(packages))
  if (!installed) return
  for (const pkg of packages) await checkEntries(pkg)
  for (const pkg of packages) await checkCommands(pkg)
  await checkExamples([{ name: 'README.md', folder: root }, ...packages])
}

/** @param {Package[]} packages */
async function install(packages) {
  const tarballs = await packInto(packages, join(project, 'tarballs'))
  const catalog = Object.fromEntries(
    [...readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8').matchAll(/^ {2}'?([@\w/-]+)'?: (\d\S*)$/gm)].map(
      (m) => [m[1], m[2]],
    ),
  )
  // Optional peers are what a message or a README tells the user to install; the types are what an editor needs.
  const optional = packages.flatMap(({ manifest }) => Object.keys(manifest.peerDependenciesMeta ?? {}))
  const extra = [...new Set(['typescript', '@types/node', ...optional])].map((name) => `${name}@${catalog[name]}`)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'user', private: true }))
  await must('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs.values(), ...extra])
}

/** @param {Package} pkg */
async function checkEntries({ name, manifest }) {
  for (const [subpath, target] of Object.entries(manifest.exports)) {
    if (subpath === './package.json') continue
    const entry = name + subpath.slice(1)
    // A runner's binder can be loaded inside of that runner only.
    if (/\/(vitest|node-test)$/.test(entry)) continue
    await check(`import '${entry}'`, () => node('entry.mjs', `import * as entry from '${entry}'\nvoid entry`))
    if (target.require) await check(`require('${entry}')`, () => node('entry.cjs', `require('${entry}')`))
  }
}

/** @param {Package} pkg */
async function checkCommands({ manifest }) {
  for (const command of Object.keys(manifest.bin ?? {})) {
    await check(`npx ${command} --help`, () => must('npx', ['--no-install', command, '--help'], { capture: true }))
  }
}

/** @param {readonly { name: string, folder: string }[]} places */
async function checkExamples(places) {
  const examples = places.flatMap(({ name, folder }) => {
    const readme = join(folder, 'README.md')
    const example = exampleIn(readme)
    if (example !== undefined) return [{ name, readme, example }]
    const failure = 'its README has no ```ts block between <!-- example:start --> and <!-- example:end -->'
    console.log(`✗ ${name}: ${failure}`)
    cases.push({ name: `${name} has an example`, seconds: 0, failure })
    return []
  })
  await check('the examples type-check', () => typecheck(examples))
  for (const { name, readme, example } of examples) {
    const [variable, start] = Object.entries(BROKERS).find(([name]) => example.includes(name)) ?? []
    const broker = start && (await brokerOrReason(start))
    if (typeof broker === 'string') {
      cases.push({ name: `the example of ${name} runs`, seconds: 0, skipped: broker })
      continue
    }
    if (variable !== undefined) process.env[variable] = broker?.url
    await check(`the example of ${name} runs as ESM`, () =>
      node('example.mjs', transpile(example, ts.ModuleKind.ESNext), example),
    )
    if (!esmOnly(example)) {
      await check(`the example of ${name} runs as CJS`, () =>
        node('example.cjs', wrap(transpile(example, ts.ModuleKind.CommonJS)), example),
      )
    }
    const [, file, command] = readFileSync(readme, 'utf8').match(/^Saved as `(.+?)`, it runs with `npx (.+?)`/m) ?? []
    if (file !== undefined && command !== undefined)
      await check(`npx ${command}`, async () => {
        writeFileSync(join(project, file), example)
        expectPrints(await must('npx', ['--no-install', ...command.split(' ')], { capture: true }), example)
      })
    await broker?.stop()
  }
}

/** A server for an example that needs one, or why there is none. @param {typeof startKafka | typeof startNats | typeof startRedis} start */
async function brokerOrReason(start) {
  try {
    return await start()
  } catch (error) {
    if (!(error instanceof NoBroker) || process.env['CI'] !== undefined) throw error
    return error.message
  }
}

/** @param {string} readme */
function exampleIn(readme) {
  if (!existsSync(readme)) return undefined
  return readFileSync(readme, 'utf8').match(
    /<!-- example:start -->\s*```ts[^\n]*\n([^]*?)```\s*<!-- example:end -->/,
  )?.[1]
}

/** @param {string} example */
function esmOnly(example) {
  return /from '@tasks\/(conformance|cli)/.test(example)
}

/** @param {string} source @param {ts.ModuleKind} module */
function transpile(source, module) {
  // ES2022: `await using` is lowered, for Node 20.
  return ts.transpileModule(source, {
    compilerOptions: { module, target: ts.ScriptTarget.ES2022, esModuleInterop: true },
  }).outputText
}

/** CommonJS has no top-level await. @param {string} script */
function wrap(script) {
  return `(async () => {\n${script}\n})()`
}

/** All at once: most of the time goes into reading the packages. @param {readonly { name: string, example: string }[]} examples */
async function typecheck(examples) {
  const files = examples.map(({ name }) => `example-of-${name.replaceAll(/\W+/g, '-')}.mts`)
  examples.forEach(({ example }, index) => writeFileSync(join(project, files[index] ?? ''), example))
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--lib', 'es2022,esnext.disposable']
  await must('npx', ['--no-install', 'tsc', ...flags, '--module', 'nodenext', '--types', 'node', ...files], {
    capture: true,
  })
}

/**
 * Runs `script`, and looks for what `example` says that it prints.
 *
 * @param {string} file @param {string} script @param {string} [example]
 */
async function node(file, script, example = '') {
  writeFileSync(join(project, file), script)
  expectPrints(await must(process.execPath, [file], { capture: true, timeoutMs: 60_000 }), example)
}

/** @param {string} stdout @param {string} example */
function expectPrints(stdout, example) {
  for (const [, text = ''] of example.matchAll(/\/\/ prints: (.+)$/gm)) {
    if (!stdout.includes(text.trim())) throw new Error(`"${text.trim()}" is not in what it printed: ${stdout}`)
  }
}

/**
 * @param {string} command @param {readonly string[]} args
 * @param {{ cwd?: string, capture?: boolean, timeoutMs?: number }} [options]
 */
async function must(command, args, options = {}) {
  const { code, stdout, timedOut } = await run(command, args, { cwd: command === 'turbo' ? root : project, ...options })
  if (timedOut) throw new Error(`${command} ${args.join(' ')} did not end`)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with exit code ${code}\n${stdout}`)
  return stdout
}

/** @param {string} name @param {() => Promise<unknown>} step */
async function check(name, step) {
  const since = performance.now()
  const failure = await step().then(() => undefined, String)
  const seconds = (performance.now() - since) / 1000
  console.log(
    `${failure === undefined ? '✓' : '✗'} ${name} ${seconds.toFixed(1)} s${failure === undefined ? '' : `\n${failure}`}`,
  )
  cases.push({ name, seconds, ...(failure === undefined ? {} : { failure }) })
  return failure === undefined
}
