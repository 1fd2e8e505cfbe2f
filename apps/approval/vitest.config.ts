import { suite } from '@tasks/dev-config/vitest'

export default suite({ name: 'approval', test: { testTimeout: 60_000 } })
