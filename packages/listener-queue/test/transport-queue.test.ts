import { describeListener } from '@tasks/conformance/vitest'
import { createClient, createTasks, startWorker, waitForEvent } from '@tasks/core'
import { memoryTransport } from '@tasks/core/memory'
import { listenerStores } from '@tasks/listener-stores'
import { expect, test } from 'vitest'
import { transportQueue, type TransportQueue } from '../src/index'

interface Order {
  readonly nth: number
}

for (const [where, store] of await listenerStores(['memory', 'SQLite'])) {
  describeListener(`a queue of the transport, in ${where}`, {
    ...store,
    name: 'transport queue',
    create({ client }) {
      const sent = new Set<number>()
      let orders: TransportQueue<Order> | undefined
      return {
        process(tasks) {
          const own = transportQueue<Order>(tasks, 'orders')
          orders ??= own
          return { wait: () => waitForEvent(own) }
        },
        async occur(nth) {
          sent.add(nth)
          await client.enqueue(orders!.message, { nth })
          return { nth }
        },
        hasOccurred: (nth) => sent.has(nth),
      }
    },
  })
}

test('a message waits for whoever comes later, and each goes to one', async () => {
  const tasks = createTasks({ namespace: 'queue' })
  const orders = transportQueue<number>(tasks, 'orders')
  const transport = memoryTransport()
  const worker = await startWorker({ tasks, transport })
  const client = createClient({ namespace: 'queue', transport })
  await client.enqueueMany(orders.message, [1, 2, 3])
  const runs = await Promise.all([1, 2, 3].map(() => client.submit(waitForEvent(orders))))
  expect((await Promise.all(runs.map((run) => run.result()))).sort()).toEqual([1, 2, 3])
  const brief = await client.submit(waitForEvent(orders.set({ timeoutMs: 10 })))
  await expect(brief.result()).rejects.toMatchObject({ code: 'TASKS_TIMEOUT' })
  await client.close()
  await worker.close()
  await transport.close()
})

test('a message that is too large for an event is refused where it is sent, and nothing of it is stored', async () => {
  const tasks = createTasks({ namespace: 'queue' })
  const { message } = transportQueue<string>(tasks, 'orders')
  const pass = tasks.bind('pass', (value: string) => value)
  const transport = memoryTransport()
  const worker = await startWorker({ tasks, transport })
  const client = createClient({ namespace: 'queue', transport })
  const [large, fits] = ['x'.repeat(32 << 10), 'x'.repeat((32 << 10) - 4)]
  const refusal = { code: 'TASKS_VALUE_TOO_LARGE' }
  const ways = [
    () => client.enqueue(message, large),
    () => client.enqueue(message, large, { id: 'kept' }),
    () => client.enqueueMany(message, [large]),
    () => client.submit(pass.send('small').continueWith(message.send(large))),
  ]
  for (const way of ways) await expect(way()).rejects.toMatchObject(refusal)
  const space = await transport.open({ namespace: 'queue' })
  expect(await space.blobs.list({ limit: 10 })).toEqual([])
  // What is known by a worker only fails there, at once.
  const passed = await client.submit(pass.send(large).continueWith(message))
  await expect(passed.result()).rejects.toMatchObject(refusal)
  await client.enqueue(message, fits)
  const run = await client.submit(waitForEvent<string>({ key: 'queue:orders' }))
  expect(await run.result()).toBe(fits)
  expect((await client.list()).pipelines.map(({ status }) => status).sort()).toEqual(['COMPLETED', 'FAILED'])
  await client.close()
  await worker.close()
  await transport.close()
})
