import type { Transport } from '@tasks/core'

const MOST = 10
const LEASE_MS = 60_000

/** How many tasks of the default queue nobody has acknowledged: up to ten. Only when no worker is up, which would hold some. */
export async function countLeft(transport: Transport, namespace: string): Promise<number> {
  const space = await transport.open({ namespace })
  const consumer = space.consume({ queues: ['default'], leaseMs: LEASE_MS })
  const left = await consumer.receive({ max: MOST, waitMs: 0, suspects: true })
  const age = await space.backlog('default')
  await consumer.close()
  await space.close()
  return Math.max(left.length, age === undefined ? 0 : 1)
}
