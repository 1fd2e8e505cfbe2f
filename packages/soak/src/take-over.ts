// What becomes of the partitions of a process that dies.
import { createClient, type Transport } from '@tasks/core'
import assert from 'node:assert/strict'
import type { Place } from './place'
import { NAMESPACE, workOf } from './tasks'
import { supervise, type Supervised } from './worker-process'

/** Much longer than the test may take: nothing here waits for a lease. */
const LEASE_MS = 120_000
const PATIENCE_MS = 20_000

/** Kills a process that owns every partition, while another one is there; fails if pipelines have to wait for its leases. Closes the transport. */
export async function takeOver(place: Place, transport: Transport): Promise<void> {
  const client = createClient({ namespace: NAMESPACE, transport, answerMs: 300 })
  const workers: Supervised[] = []
  const startWorker = async (): Promise<Supervised> => {
    const worker = supervise(place, { leaseMs: LEASE_MS, partitions: 4 })
    workers.push(worker)
    await worker.started
    return worker
  }
  try {
    const doomed = await startWorker()
    const work = workOf(1, 3)
    assert.equal(await (await client.submit(work.pipeline)).result({ timeoutMs: PATIENCE_MS }), work.expected)
    await startWorker()
    doomed.signal('SIGKILL')
    const since = performance.now()
    const runs = await Promise.all(
      Array.from({ length: 20 }, (_, i) => client.submit(work.pipeline, { id: `after-${i}` })),
    )
    for (const run of runs) assert.equal(await run.result({ timeoutMs: PATIENCE_MS }), work.expected)
    console.log(`taken over within ${Math.round(performance.now() - since)} ms`)
  } finally {
    for (const worker of workers) worker.stop()
    await client.close()
    await transport.close()
  }
}
