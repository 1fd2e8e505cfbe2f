import { library } from '@tasks/dev-config/tsup'
import { defineConfig } from 'tsup'

export default defineConfig(
  library({
    index: 'src/index.ts',
    memory: 'src/memory/index.ts',
    testing: 'src/testing/index.ts',
    adapter: 'src/adapter/index.ts',
  }),
)
