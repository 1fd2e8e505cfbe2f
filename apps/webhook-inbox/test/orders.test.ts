import { createClient, startWorker, type Client } from '@tasks/core'
import { memoryTransport } from '@tasks/core/memory'
import { silentLogger } from '@tasks/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { handle, NAMESPACE, tasks, type Webhook } from '../src/orders'

async function running(): Promise<Client> {
  const transport = memoryTransport()
  const worker = await startWorker({ tasks, transport, logger: silentLogger })
  const client = createClient({ namespace: NAMESPACE, transport, logger: silentLogger })
  onTestFinished(async () => {
    await client.close()
    await worker.close({ drainMs: 0 })
    await transport.close()
  })
  return client
}

test('an order is shipped when it is placed and paid, whatever comes first, and however often', async () => {
  const client = await running()
  const placed = (id: string): Webhook => ({ type: 'order.placed', order: { id, item: 'a lathe' } })
  const paid = (orderId: string): Webhook => ({ type: 'order.paid', orderId, payment: { amount: 9_000 } })
  for (const value of [placed('1'), paid('1'), paid('2'), placed('2')]) {
    const id = `${value.type} ${value.type === 'order.paid' ? value.orderId : value.order.id}`
    await handle(client, { id, value })
    await handle(client, { id, value })
  }
  const results = await Promise.all(['1', '2'].map((id) => client.attach<string>(id).result()))
  expect(results).toEqual(['a lathe shipped for 9000', 'a lathe shipped for 9000'])
})
