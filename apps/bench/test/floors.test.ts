import { createClient, createTasks, inParallel, startWorker } from '@tasks/core'
import { memoryTransport } from '@tasks/core/memory'
import { expect, test } from 'vitest'
import { encodeOutcomeEnvelope, encodeTaskEnvelope } from '../src/floors/envelopes'

test('the envelopes of the floor are as long as real ones', async () => {
  const transport = memoryTransport()
  const tasks = createTasks({ namespace: 'floor' })
  const noop = tasks.bind('noop', (index: number) => 2 * index + 1)
  const client = createClient({ transport, namespace: 'floor' })
  const owner = await startWorker({ tasks, transport, roles: ['owner'] })
  const space = await transport.open({ namespace: 'floor' })
  const consumer = space.consume({ queues: ['default'], leaseMs: 60_000 })

  await client.submit(inParallel(Array.from({ length: 200 }, (_, i) => noop.send(i))))
  let last = ''
  for (let seen = 0; seen < 200;) {
    const leases = await consumer.receive({ max: 200, waitMs: 10_000, suspects: false })
    expect(leases.length, 'children were not sent').toBeGreaterThan(0)
    seen += leases.length
    for (const { body } of leases)
      if (Buffer.from(body).toString().includes('.123/')) last = Buffer.from(body).toString()
  }
  await consumer.close()
  // The floor's path is that of a group which a task has returned: three characters longer.
  expect(encodeTaskEnvelope(123).length - 3).toBeCloseTo(last.length, -1)
  expect(JSON.parse(last.split('\n')[0]!)).toHaveLength(
    JSON.parse(encodeTaskEnvelope(123).toString().split('\n')[0]!).length,
  )

  await client.close()
  await owner.close()
  await space.close()
  await transport.close()
})

test('the outcome of the floor names its entry and carries its result', () => {
  const [header, payload] = encodeOutcomeEnvelope(5, 11).toString().split('\n')
  expect(JSON.parse(header!)).toEqual([
    1,
    'o',
    [['abcdefghijKLMNOPQRST', 'abcdefghijKLMNOPQRST', '/0:/0.5/0', 1, 1, 2]],
  ])
  expect(payload).toBe('11')
})
