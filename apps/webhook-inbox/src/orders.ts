// An order, from the webhooks of a shop: one says that it was placed, another that it was paid. They may come in any order, and more than once.
import { createTasks, waitForEvent, type Client } from '@tasks/core'
import type { ReceivedMessage } from '@tasks/listener-queue'

export interface Order {
  readonly id: string
  readonly item: string
}

export interface Payment {
  readonly amount: number
}

export type Webhook =
  | { readonly type: 'order.placed'; readonly order: Order }
  | { readonly type: 'order.paid'; readonly orderId: string; readonly payment: Payment }

export const NAMESPACE = 'webhooks'
const PAID = 'paid'
const WEEK_MS = 7 * 24 * 3_600_000

export const tasks = createTasks({ namespace: NAMESPACE, retry: { maxRetries: 5 } })

const reserve = tasks.bind('reserve', (order: Order) => ({ ...order, shelf: order.item.length }))
const ship = tasks.bind('ship', (payment: Payment, order: Order) => `${order.item} shipped for ${payment.amount}`)

const fulfil = tasks.bind('fulfil', (order: Order) =>
  reserve
    .send(order)
    .continueWith(waitForEvent<Payment>({ key: PAID, pipeline: true }, { timeoutMs: WEEK_MS }))
    .continueWith(ship, order),
)

/** One message of the queue: starts a pipeline, or feeds one. Handled twice it has the same effect: a pipeline has one id, and an event that of its message. */
export async function handle(client: Client, { id, value }: ReceivedMessage<Webhook>): Promise<void> {
  if (value.type === 'order.placed') await client.submit(fulfil, value.order, { id: value.order.id })
  else await client.sendEvent({ key: PAID, pipelineId: value.orderId, value: value.payment, id })
}
