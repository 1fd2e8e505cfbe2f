// A worker that goes: what it was given by then, it gives back.
import { expect, onTestFinished, test } from 'vitest'
import { kafkaTransport } from '../src/index'
import { toTask } from './support/bench'
import { newNamespace, sharedBroker } from './support/server'

test('what a consumer is given while it closes is handed to others at once, uncounted', async (ctx) => {
  const transport = kafkaTransport({ url: sharedBroker(ctx).url })
  onTestFinished(() => transport.close())
  const namespace = newNamespace()
  const space = await transport.open({ namespace, partitions: 1 })
  const sent = 20
  const seen = new Map<string, number>()
  const last = space.consume({ queues: ['q'], leaseMs: 120_000 })
  for (let i = 0; i < sent; i++) {
    const going = space.consume({ queues: ['q'], leaseMs: 120_000 })
    const receiving = going.receive({ max: 10, waitMs: 10_000, suspects: true })
    // It wants before this is sent, and goes before it has read it.
    await expect.poll(() => space.backlog('q')).toBeUndefined()
    const sending = space.send([toTask(`task ${i}`)])
    const closing = going.close()
    const leases = await receiving
    await going.settle(
      leases.map((lease) => ({ lease, op: 'return', delayMs: 0 })),
      [],
    )
    await Promise.all([sending, closing])
    const given = await last.receive({ max: 10, waitMs: 10_000, suspects: true })
    for (const { id, deliveries } of given) seen.set(id, deliveries)
    await last.settle(
      given.map((lease) => ({ lease, op: 'ack' })),
      [],
    )
  }
  expect([...seen]).toEqual(Array.from({ length: sent }, (_, i) => [`task ${i}`, 1]))
}, 60_000)
