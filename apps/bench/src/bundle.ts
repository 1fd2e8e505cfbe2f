// Compiles the programs of the rounds, with core and the adapters, as their packages are compiled for publishing: by esbuild, not minified.
// Running the sources through tsx would measure tsx (it wraps every function to keep its name); running `dist` would measure whatever
// was built last.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export interface Bundle {
  readonly folder: string
  readonly round: string
  readonly peersRound: string
  remove(): void
}

const app = fileURLToPath(new URL('..', import.meta.url))

export async function compile(): Promise<Bundle> {
  // Inside the app, so that its dependencies are found from there.
  const parent = join(app, 'node_modules', '.cache', 'bench')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'run-'))
  await build({
    absWorkingDir: app,
    entryPoints: [
      'src/round.ts',
      'src/worker-program.ts',
      'src/peers/peers-round.ts',
      'src/peers/contender-program.ts',
    ],
    // All in one folder: they start each other.
    entryNames: '[name]',
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    conditions: ['@tasks/source'],
    external: ['@nats-io/transport-node', '@photostructure/sqlite', 'bee-queue', 'bullmq', 'ioredis', 'kafkajs'],
    sourcemap: true,
    logLevel: 'warning',
  })
  return {
    folder,
    round: join(folder, 'round.mjs'),
    peersRound: join(folder, 'peers-round.mjs'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
