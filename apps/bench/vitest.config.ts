import { suite } from '@tasks/dev-config/vitest'

export default suite({ name: 'bench', test: { testTimeout: 120_000 } })
