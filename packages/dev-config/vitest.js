import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { junitReporter } from './junit-reporter.js'

const reports = fileURLToPath(new URL('../../reports/', import.meta.url))
const allTiers = process.env['TASKS_TIER'] === 'all'

/**
 * The settings of one suite. Its JUnit file is reports/<name>.xml, or the name that the runner of the suites passes.
 *
 * @param {{ name: string, test?: import('vitest/config').ViteUserConfig['test'] }} suite
 */
export function suite({ name, test = {} }) {
  return defineConfig({
    resolve: { conditions: ['@tasks/source', 'node', 'import', 'module', 'default'] },
    ssr: { resolve: { conditions: ['@tasks/source', 'node', 'import', 'module', 'default'] } },
    // Node 20 does not know `using`.
    oxc: { target: 'node20' },
    test: {
      name,
      include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
      // Files named *.all.test.ts belong to `npm run test:all`.
      exclude: ['**/node_modules/**', '**/dist/**', ...(allTiers ? [] : ['**/*.all.test.ts'])],
      // An empty suite is a mistake: the runner counts it as a failure.
      passWithNoTests: false,
      // A time-out is there to end what hangs, not to say that a machine is busy.
      testTimeout: 30_000,
      hookTimeout: 30_000,
      reporters: ['default', junitReporter(`${reports}${process.env['TASKS_SUITE'] ?? name}.xml`)],
      ...test,
    },
  })
}
