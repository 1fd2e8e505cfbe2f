import { createClient } from '@tasks/core'
import { NAMESPACE, supervise, workOf } from '@tasks/soak'
import { expect, onTestFinished, test } from 'vitest'
import { redisTransport } from '../src/index'
import { newServer } from './support/server'

/** Much longer than the test may take: nothing here waits for a lease. */
const LEASE_MS = 120_000
const PATIENCE_MS = 20_000

test('the partitions of a process that was killed are taken over long before its leases run out', async (ctx) => {
  const server = await newServer(ctx)
  const transport = redisTransport({ url: server.url })
  const client = createClient({ namespace: NAMESPACE, transport, answerMs: 300 })
  onTestFinished(async () => {
    await client.close()
    await transport.close()
  })
  const options = { leaseMs: LEASE_MS, partitions: 4 }
  const place = { url: server.url, adapter: new URL('../src/index.ts', import.meta.url) }
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
}, 60_000)
