#!/usr/bin/env node
// Compares the public surface of the package in the working directory with its reviewed report, api/<entry>.api.md, one
// per entry of `exports`. `--update` writes the reports.
import { mkdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor'

const update = process.argv.includes('--update')
const folder = process.cwd()
const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
mkdirSync('api', { recursive: true })

let drifted = false
for (const [subpath, target] of Object.entries(manifest.exports)) {
  const types = target?.import?.types ?? target?.types
  if (types === undefined) continue
  const entry = [manifest.name.replace(/^@[^/]+\//, ''), ...subpath.split('/').slice(1)].join('-')
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: folder,
      newlineKind: 'lf',
      mainEntryPointFilePath: resolve(types),
      compiler: {
        overrideTsconfig: { compilerOptions: { ...tsOptions(), skipLibCheck: true }, files: [resolve(types)] },
      },
      apiReport: {
        enabled: true,
        reportFileName: `${entry}.api.md`,
        reportFolder: resolve('api'),
        reportTempFolder: resolve('node_modules/.cache/api'),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Warning } },
        extractorMessageReporting: {
          default: { logLevel: ExtractorLogLevel.None },
          // Only of the main entry: the others may name what it exports.
          ...(subpath === '.' && {
            'ae-forgotten-export': { logLevel: ExtractorLogLevel.Warning, addToApiReportFile: true },
          }),
        },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
      },
    },
    configObjectFullPath: resolve('api-extractor.json'),
    packageJsonFullPath: resolve('package.json'),
  })
  const result = Extractor.invoke(config, { localBuild: update, messageCallback: hush })
  if (result.apiReportChanged) {
    console.error(
      `${manifest.name}: api/${entry}.api.md ${update ? 'written' : 'differs from what is built. If meant: npm run api'}`,
    )
    drifted ||= !update
  }
  if (result.errorCount > 0) drifted = true
}
process.exitCode = drifted ? 1 : 0

function tsOptions() {
  return {
    target: 'ES2022',
    lib: ['ES2022', 'ESNext.Disposable'],
    module: 'ESNext',
    moduleResolution: 'Bundler',
    types: ['node'],
    strict: true,
  }
}

/** @param {import('@microsoft/api-extractor').ExtractorMessage} message */
function hush(message) {
  // What changed is said above, in one line that names the remedy.
  if (message.category === 'console' && message.logLevel !== ExtractorLogLevel.Error) message.handled = true
}
