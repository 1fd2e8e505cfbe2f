import { suite } from '@tasks/dev-config/vitest'

export default suite({ name: 'cli', test: { globalSetup: 'test/support/install.ts', testTimeout: 30_000 } })
