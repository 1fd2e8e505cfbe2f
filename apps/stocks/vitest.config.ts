import { suite } from '@tasks/dev-config/vitest'

// The demo is several processes.
export default suite({ name: 'stocks', test: { testTimeout: 60_000 } })
