import { suite } from '@tasks/dev-config/vitest'

export default suite({ name: 'webhook-inbox', test: { testTimeout: 60_000 } })
