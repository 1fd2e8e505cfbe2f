import { library } from '@tasks/dev-config/tsup'
import { defineConfig } from 'tsup'

// shims: driver.ts asks where this package is, in CJS too.
export default defineConfig({ ...library({ index: 'src/index.ts' }), shims: true })
