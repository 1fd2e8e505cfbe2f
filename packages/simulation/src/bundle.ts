// Compiles the runner with core's sources, as they are or with one mutant in them. A mutant is a replacement of text: what core is made of is changed, and
// no line of core is there for it. One whose text is not found, or found twice, is refused: it would test nothing.
import { readFileSync } from 'node:fs'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import type { Mutant } from './mutants'

const home = fileURLToPath(new URL('..', import.meta.url))
const core = fileURLToPath(new URL('../../core/src/', import.meta.url))

/** Returns the file to run. */
export async function bundle(mutant?: Mutant): Promise<string> {
  const parent = join(home, 'node_modules', '.cache')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'simulation-'))
  const outfile = join(folder, 'runner.mjs')
  await build({
    absWorkingDir: home,
    entryPoints: ['src/runner.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    conditions: ['@tasks/source'],
    sourcemap: 'inline',
    logLevel: 'warning',
    plugins: mutant === undefined ? [] : [mutating(mutant)],
  })
  return outfile
}

function mutating({ name, changes }: Mutant): Plugin {
  return {
    name: 'mutant',
    setup(on) {
      const left = new Set(changes.map(({ file }) => file))
      on.onLoad({ filter: /[\\/]core[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
        const file = path.slice(core.length).replaceAll('\\', '/')
        if (!left.delete(file)) return undefined
        let text = readFileSync(path, 'utf8')
        for (const change of changes) {
          if (change.file !== file) continue
          const parts = text.split(change.from)
          if (parts.length !== 2)
            throw new Error(`mutant "${name}": ${file} holds ${parts.length - 1} times, not once: ${change.from}`)
          text = parts.join(change.to)
        }
        return { contents: text, loader: 'ts' }
      })
      on.onEnd(() => {
        if (left.size > 0) throw new Error(`mutant "${name}": ${[...left].join()} is not part of the bundle`)
      })
    },
  }
}
