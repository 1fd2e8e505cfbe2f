// Whether what is packed resolves for every kind of importer: publint and "are the types wrong?", on the tarballs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { filterProblems, problemKindInfo } from '@arethetypeswrong/core/problems'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { packInto, published } from './packages.js'

/** All packages in one process, which loads the compiler once. @returns {Promise<boolean>} whether none has a problem */
export async function checkExports() {
  const folder = mkdtempSync(join(tmpdir(), 'tasks-check-exports-'))
  try {
    const problems = []
    for (const [pkg, file] of await packInto(published(), folder)) problems.push(...(await problemsOf(pkg, file)))
    for (const problem of problems) console.error(problem)
    return problems.length === 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {import('./packages.js').Package} pkg @param {string} file */
async function problemsOf({ name, manifest }, file) {
  const data = readFileSync(file)
  const tarball = new Uint8Array(data).buffer
  const { messages } = await publint({ pack: { tarball }, strict: true })
  const analysis = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)))
  if (!analysis.types) return [`${name}: it has no types`]
  // Nobody on Node 20 resolves as Node 10 did; what has no `require` is ESM only.
  const isEsmOnly = Object.values(manifest.exports).every((target) => target.require === undefined)
  /** @type {import('@arethetypeswrong/core').ResolutionKind[]} */
  const kinds = ['node16-esm', 'bundler', ...(isEsmOnly ? [] : [/** @type {const} */ ('node16-cjs')])]
  const wrong = new Set(kinds.flatMap((resolutionKind) => filterProblems(analysis, { resolutionKind })))
  return [
    ...messages.map((message) => `${name}: ${formatMessage(message, manifest, { color: false })}`),
    ...[...wrong].map((problem) => `${name}: ${problemKindInfo[problem.kind].title}: ${JSON.stringify(problem)}`),
  ]
}
