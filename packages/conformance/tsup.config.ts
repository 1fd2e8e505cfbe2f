import { esmLibrary } from '@tasks/dev-config/tsup'
import { defineConfig } from 'tsup'

export default defineConfig({ ...esmLibrary, entry: ['src/index.ts', 'src/vitest.ts', 'src/node-test.ts'] })
