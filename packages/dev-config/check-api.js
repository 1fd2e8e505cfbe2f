#!/usr/bin/env node
// Compares the public surface of the package in the working directory with its reviewed report, api/<entry>.api.md, one
// per entry of `exports`. `--update` writes the reports.
import { mkdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor'

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
      mainEntryPointFilePath: resolve(types),
      compiler: { overrideTsconfig: { compilerOptions: { ...tsOptions(), skipLibCheck: true }, files: [resolve(types)] } },
      apiReport: { enabled: true, reportFileName: `${entry}.api.md`, reportFolder: resolve('api'), reportTempFolder: resolve('temp/api') },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: 'warning' } },
        extractorMessageReporting: { default: { logLevel: 'none' }, 'ae-forgotten-export': { logLevel: 'warning', addToApiReportFile: true } },
        tsdocMessageReporting: { default: { logLevel: 'none' } },
      },
    },
    configObjectFullPath: resolve('api-extractor.json'),
    packageJsonFullPath: resolve('package.json'),
  })
  const result = Extractor.invoke(config, { localBuild: update, messageCallback: quiet })
  if (result.apiReportChanged) {
    console.error(`${manifest.name}: api/${entry}.api.md ${update ? 'written' : 'differs from what is built. If meant: npm run api'}`)
    drifted ||= !update
  }
  if (result.errorCount > 0) drifted = true
}
process.exitCode = drifted ? 1 : 0

function tsOptions() {
  return { target: 'ES2022', lib: ['ES2022', 'ESNext.Disposable'], module: 'ESNext', moduleResolution: 'Bundler', types: ['node'], strict: true }
}

/** @param {import('@microsoft/api-extractor').ExtractorMessage} message */
function quiet(message) {
  message.handled = message.logLevel !== 'error' && message.logLevel !== 'warning'
}
