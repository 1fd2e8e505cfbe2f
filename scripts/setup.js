// Makes a clone ready: Node is new enough, the dependencies are those of the lockfile. Quick when nothing is to be done.
//
//   node scripts/setup.js                     set up
//   node scripts/setup.js -- changeset        set up, then run one of the workspace's tools
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root, run, seconds } from './processes.js'

const stamp = join(root, 'node_modules', '.setup-stamp')

/** What it prints goes to stderr: stdout belongs to the command that follows. */
export async function setup() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) fail(`Node 20.19 or newer is needed; this is ${process.version}.`)

  const wanted = hash(['pnpm-lock.yaml', 'pnpm-workspace.yaml'])
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return

  const since = performance.now()
  const pnpm = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager
  console.error(`setup: installing the dependencies with ${pnpm} (by npx; nothing is installed globally) …`)
  const install = await run(
    'npx',
    // A clone may hold the node_modules of another branch; there may be no terminal to ask on.
    [
      '--yes',
      '--loglevel=error',
      pnpm,
      'install',
      '--frozen-lockfile',
      '--reporter=append-only',
      '--loglevel=warn',
      '--config.confirmModulesPurge=false',
    ],
    { chatter: true },
  )
  if (install.code !== 0) fail('pnpm install failed; its message is above.')
  writeFileSync(stamp, wanted)
  console.error(`setup: done in ${seconds(since)}`)
}

/** @param {readonly string[]} files */
function hash(files) {
  const sum = createHash('sha256')
  for (const file of files) sum.update(readFileSync(join(root, file)))
  return sum.digest('hex')
}

/** @param {string} message */
function fail(message) {
  console.error(`setup: ${message}`)
  process.exit(1)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [separator, command, ...args] = process.argv.slice(2)
  // What writes the lockfile cannot wait until the lockfile is right.
  const mends = command === 'pnpm' && args[0] === 'install' && existsSync(join(root, 'node_modules/.bin/pnpm'))
  if (!mends) await setup()
  if (separator === '--' && command) process.exitCode = (await run(command, args)).code
}
