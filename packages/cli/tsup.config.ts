import { esmLibrary } from '@tasks/dev-config/tsup'
import { defineConfig } from 'tsup'

export default defineConfig(esmLibrary({ index: 'src/index.ts', main: 'src/main.ts' }))
