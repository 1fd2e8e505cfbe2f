import { suite } from '@tasks/dev-config/vitest'

// The cases of the conformance suite wait for leases more than they compute.
export default suite({
  name: 'transport-kafka',
  test: { globalSetup: 'test/support/shared-broker.ts', maxConcurrency: 6 },
})
