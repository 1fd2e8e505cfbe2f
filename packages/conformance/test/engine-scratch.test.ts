import { describe, test } from 'vitest'
import { memoryStore, memoryTransport, type MemoryTransport } from '@tasks/core/memory'
import { engineCases } from '../src/engine/index'
let n = 0
for (const small of [false, true]) {
  describe('memory' + small, () => {
    const store = memoryStore()
    const made = () => memoryTransport({ store, ...(small ? { maxMessageBytes: 65536 } : {}) })
    const harness = {
      name: 'memory',
      capabilities: made().capabilities,
      reader: true,
      leaseMs: 300,
      create: made,
      crash: (t: unknown) => (t as MemoryTransport).crash(),
    }
    for (const c of engineCases) {
      if (c.requires?.some((r) => r === 'stall')) continue
      test(c.name, { timeout: 30_000 }, () => c.run(harness, 'n' + ++n))
    }
  })
}
