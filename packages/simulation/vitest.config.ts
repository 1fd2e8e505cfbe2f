import { suite } from '@tasks/dev-config/vitest'

export default suite({ name: 'simulation', test: { testTimeout: 300_000 } })
