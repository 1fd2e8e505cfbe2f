import { library } from '@tasks/dev-config/tsup'
import { defineConfig } from 'tsup'

export default defineConfig(library({ index: 'src/index.ts' }))
