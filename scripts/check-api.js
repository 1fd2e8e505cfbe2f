// Compares the public surface of the published packages with its reviewed reports, packages/*/api/<entry>.api.md, one per
// entry of `exports`; or writes them.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { CompilerState, Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor'
import { published } from './packages.js'
import { root } from './processes.js'

/** @typedef {{ entry: string, folder: string, types: string, isMain: boolean }} Entry */

/** @param {{ update?: boolean }} [options] @returns {Promise<boolean>} whether none has drifted */
export async function checkApi({ update = false } = {}) {
  const entries = published().flatMap(entriesOf)
  const configs = entries.map(configOf)
  const [first] = configs
  if (first === undefined) return true
  // One program of all entries: what several of them import is read once.
  const compilerState = CompilerState.create(first, { additionalEntryPoints: entries.map(({ types }) => types) })
  let ok = true
  for (const [index, config] of configs.entries()) {
    const result = Extractor.invoke(config, { compilerState, localBuild: update, messageCallback: hush })
    if (result.apiReportChanged) {
      const { folder = '', entry = '' } = entries[index] ?? {}
      const remedy = update ? 'written' : 'differs from what is built. If meant: npm run api'
      console.error(`${folder}/api/${entry}.api.md ${remedy}`)
      ok &&= update
    }
    if (result.errorCount > 0) ok = false
  }
  return ok
}

/** @param {import('./packages.js').Package} pkg @returns {Entry[]} */
function entriesOf({ name, folder, manifest }) {
  mkdirSync(join(folder, 'api'), { recursive: true })
  return Object.entries(manifest.exports).flatMap(([subpath, target]) => {
    const types = target?.import?.types ?? target?.types
    if (types === undefined) return []
    const entry = [name.replace(/^@[^/]+\//, ''), ...subpath.split('/').slice(1)].join('-')
    return [{ entry, folder, types: join(folder, types), isMain: subpath === '.' }]
  })
}

/** @param {Entry} entry */
function configOf({ entry, folder, types, isMain }) {
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder: folder,
      newlineKind: 'lf',
      mainEntryPointFilePath: types,
      compiler: { overrideTsconfig: { compilerOptions, files: [types] } },
      apiReport: {
        enabled: true,
        reportFileName: `${entry}.api.md`,
        reportFolder: join(folder, 'api'),
        reportTempFolder: join(root, 'node_modules/.cache/api'),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Warning } },
        extractorMessageReporting: {
          default: { logLevel: ExtractorLogLevel.None },
          // Only of the main entry: the others may name what it exports.
          ...(isMain && { 'ae-forgotten-export': { logLevel: ExtractorLogLevel.Warning, addToApiReportFile: true } }),
        },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
      },
    },
    configObjectFullPath: join(folder, 'api-extractor.json'),
    packageJsonFullPath: join(folder, 'package.json'),
  })
}

const compilerOptions = {
  target: 'ES2022',
  lib: ['ES2022', 'ESNext.Disposable'],
  module: 'ESNext',
  moduleResolution: 'Bundler',
  types: ['node'],
  strict: true,
  skipLibCheck: true,
}

/** @param {import('@microsoft/api-extractor').ExtractorMessage} message */
function hush(message) {
  // What changed is said above, in one line that names the remedy.
  if (message.category === 'console' && message.logLevel !== ExtractorLogLevel.Error) message.handled = true
}
