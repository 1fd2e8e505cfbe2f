import { expect, onTestFinished, test } from 'vitest'
import { kafkaTransport } from '../src/index'
import { toTask } from './support/bench'
import { newNamespace, sharedBroker } from './support/server'

test('a suspect that comes when nobody wants one any more goes back, and holds up nobody', async (ctx) => {
  const transport = kafkaTransport({ url: sharedBroker(ctx).url })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: newNamespace(), partitions: 1 })
  await space.send([toTask('suspect')])
  const doomed = space.consume({ queues: ['q'], leaseMs: 500 })
  expect(await doomed.receive({ max: 1, waitMs: 10_000, suspects: true })).toHaveLength(1)
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const seen: string[] = []
  // Some of these give up with a want that is answered only then.
  for (let i = 0; i < 40; i++) {
    const giveUp = AbortSignal.timeout(25)
    const leases = await consumer.receive({ max: 10, waitMs: 10_000, suspects: true, signal: giveUp })
    seen.push(...leases.map(({ id }) => id))
    if (seen.length > 0) break
    expect(await consumer.receive({ max: 10, waitMs: 10, suspects: false })).toEqual([])
  }
  if (seen.length === 0)
    seen.push(...(await consumer.receive({ max: 10, waitMs: 10_000, suspects: true })).map(({ id }) => id))
  expect(seen).toEqual(['suspect'])
}, 60_000)
