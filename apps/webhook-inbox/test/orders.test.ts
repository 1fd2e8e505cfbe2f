import { createClient, startWorker, type Client, type Tasks } from '@tasks/core'
import { memoryTransport } from '@tasks/core/memory'
import { silentLogger } from '@tasks/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { handle, isWebhook, NAMESPACE, orders, type Webhook } from '../src/orders'

async function running(tasks: Tasks): Promise<Client> {
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
  const parcels: string[] = []
  const { tasks, fulfil } = orders((parcel) => parcels.push(parcel))
  const client = await running(tasks)
  const placed = (id: string): Webhook => ({ type: 'order.placed', order: { id, item: 'a lathe' } })
  const paid = (orderId: string): Webhook => ({ type: 'order.paid', orderId, payment: { amount: 9_000 } })
  for (const value of [placed('1'), paid('1'), paid('2'), placed('2')]) {
    const id = `${value.type} ${value.type === 'order.paid' ? value.orderId : value.order.id}`
    await handle(client, fulfil, { id, value })
    await handle(client, fulfil, { id, value })
  }
  const results = await Promise.all(['1', '2'].map((id) => client.attach<string>(id).result()))
  expect(results).toEqual(['a lathe shipped for 9000', 'a lathe shipped for 9000'])
  expect([...new Set(parcels)]).toHaveLength(2)
})

test('what is no webhook does not get into the queue', () => {
  const order = { id: '7', item: 'a lathe' }
  expect(isWebhook({ type: 'order.placed', order })).toBe(true)
  expect(isWebhook({ type: 'order.paid', orderId: '7', payment: { amount: 1 } })).toBe(true)
  for (const no of [null, undefined, 1, 'order.placed', {}, { type: 'order.placed' }, { type: 'order.paid', order }])
    expect(isWebhook(no)).toBe(false)
  for (const id of [7, '', 'a b', 'x'.repeat(100)])
    expect(isWebhook({ type: 'order.placed', order: { ...order, id } })).toBe(false)
})
