// What becomes of the partitions of a process that dies.
import { createClient, type Transport } from '@tasks/core'
import { expect, onTestFinished } from 'vitest'
import { NAMESPACE, workOf } from './tasks'
import { supervise, type Place } from './worker-process'

/** Much longer than the test may take: nothing here waits for a lease. */
const LEASE_MS = 120_000
const PATIENCE_MS = 20_000

/** Kills a process that owns every partition, while another one is there; fails if pipelines have to wait for its leases. For a test of vitest. */
export async function takeOver(place: Place, transport: Transport): Promise<void> {
  const client = createClient({ namespace: NAMESPACE, transport, answerMs: 300 })
  onTestFinished(async () => {
    await client.close()
    await transport.close()
  })
  const options = { leaseMs: LEASE_MS, partitions: 4 }
  const doomed = await supervise(place, options)
  const work = workOf(1, 3)
  expect(await (await client.submit(work.pipeline)).result({ timeoutMs: PATIENCE_MS })).toBe(work.expected)
  await supervise(place, options)
  doomed.signal('SIGKILL')
  const since = performance.now()
  const runs = await Promise.all(
    Array.from({ length: 20 }, (_, i) => client.submit(work.pipeline, { id: `after-${i}` })),
  )
  for (const run of runs) expect(await run.result({ timeoutMs: PATIENCE_MS })).toBe(work.expected)
  console.log(`taken over within ${Math.round(performance.now() - since)} ms`)
}
