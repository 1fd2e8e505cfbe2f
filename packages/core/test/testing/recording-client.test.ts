import { expect, test } from 'vitest'
import { createTasks } from '../../src/tasks'
import { recordingClient } from '../../src/testing'

const tasks = createTasks({ namespace: 'orders' })
const charge = tasks.bind('charge', (cents: number) => cents)
const ship = tasks.bind('ship', (cents: number, express: boolean) => `${cents} ${express}`)

test('a recording client notes what was submitted, and gives the results it was given', async () => {
  const client = recordingClient({ results: { 'order-1': 'shipped', 'recorded-2': 7 } })
  const named = await client.submit(charge.send(5).continueWith(ship, true), { id: 'order-1', meta: { by: 'me' } })
  const plain = await client.submit(charge, 7)
  expect(client.submitted.map(({ id, options }) => ({ id, options }))).toEqual([
    { id: 'order-1', options: { id: 'order-1', meta: { by: 'me' } } },
    { id: 'recorded-2', options: {} },
  ])
  // What a test looks at: the tasks and their arguments.
  expect(client.submitted[1]!.pipeline.toJSON()).toEqual(charge.send(7).toJSON())
  expect(client.submitted[0]!.pipeline.toText()).toBe(charge.send(5).continueWith(ship, true).toText())
  expect([await named.result(), await plain.result()]).toEqual(['shipped', 7])
  expect(await named.status()).toMatchObject({ id: 'order-1', status: 'PENDING' })
  expect(await named.progress()).toEqual({ done: 0, total: 0 })
})

test('it notes lone tasks, one and many', async () => {
  const client = recordingClient()
  const alone = await client.enqueue(charge, 1, { queue: 'payments' })
  await client.enqueue(ship.send(2, false))
  expect(await client.enqueueMany(charge, [3, 4], { priority: 1 })).toEqual(['recorded-3', 'recorded-4'])
  expect(client.enqueued.map(({ entry, options }) => [entry.toText(), options])).toEqual([
    [charge.send(1).toText(), { queue: 'payments' }],
    [ship.send(2, false).toText(), {}],
    [charge.send(3).toText(), { priority: 1 }],
    [charge.send(4).toText(), { priority: 1 }],
  ])
  expect(client.submitted).toEqual([])
  await expect(alone.result()).rejects.toMatchObject({
    code: 'TASKS_UNSUPPORTED',
    message: 'a recording client has no result for "recorded-1": give it one in { results }',
  })
})
