import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * How a published package is built.
 *
 * @param {Readonly<Record<string, string>>} entry the source of each entry, by its name
 */
export function library(entry) {
  return /** @satisfies {import('tsup').Options} */ ({
    entry,
    format: /** @type {('esm' | 'cjs')[]} */ (['esm', 'cjs']),
    target: 'node20',
    // Types are bundled from the declarations that `npm run declarations` has made of all packages at once, in a tenth of the time.
    dts: { entry: Object.fromEntries(Object.entries(entry).map(([name, source]) => [name, declarationOf(source)])) },
    sourcemap: true,
    clean: true,
    treeshake: true,
    // CJS too: otherwise each entry has its own TaskError, and instanceof fails between them.
    splitting: true,
    // Keeps "node:test" and "node:sqlite", which have no other name.
    removeNodeProtocol: false,
  })
}

/** For packages that are ESM only. @param {Readonly<Record<string, string>>} entry */
export function esmLibrary(entry) {
  return { ...library(entry), format: /** @type {'esm'[]} */ (['esm']) }
}

/** @param {string} source in the package in whose folder this runs */
function declarationOf(source) {
  const folder = relative(root, process.cwd()).split(sep).join('/')
  return `${root}dist/declarations/${folder}/${source.replace(/\.ts$/, '.d.ts')}`
}
