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
