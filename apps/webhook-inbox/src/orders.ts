// An order, from the webhooks of a shop: one says that it was placed, another that it was paid. They may come in any order, and more than once.
import { createTasks, taskContext, waitForEvent, type Client, type Pipeline, type Task, type Tasks } from '@tasks/core'
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

/** Whatever a stranger sends: what gets into the queue can be handled. */
export function isWebhook(x: unknown): x is Webhook {
  const { type, order, orderId, payment } = membersOf(x)
  const { id, item } = membersOf(order)
  if (type === 'order.placed') return isId(id) && typeof item === 'string'
  return type === 'order.paid' && isId(orderId) && typeof membersOf(payment)['amount'] === 'number'
}

const membersOf = (x: unknown) => Object(x) as Readonly<Record<string, unknown>>

const isId = (x: unknown): boolean => typeof x === 'string' && /^[\w-]{1,64}$/.test(x)

export interface Orders {
  readonly tasks: Tasks
  /** The workflow: submit it with the order. */
  readonly fulfil: Task<[Order], Pipeline<string>>
}

/** @param send brings a parcel on its way; called again, with the same key, if it is not known whether it did */
export function orders(send: (parcel: string, key: string) => unknown): Orders {
  const tasks = createTasks({ namespace: NAMESPACE, retry: { maxRetries: 5 } })

  const reserve = tasks.bind('reserve', (order: Order) => ({ ...order, shelf: order.item.length }))

  const ship = tasks.bind('ship', async ({ amount }: Payment, { id, item }: Order) => {
    const { idempotencyKey } = taskContext()
    await send(`${id} (${idempotencyKey}): ${item} for ${amount}`, idempotencyKey)
    return `${item} shipped for ${amount}`
  })

  const fulfil = tasks.bind('fulfil', (order: Order) =>
    reserve
      .send(order)
      .continueWith(waitForEvent<Payment>({ key: PAID, pipeline: true }, { timeoutMs: WEEK_MS }))
      .continueWith(ship, order),
  )
  return { tasks, fulfil }
}

/** One message of the queue: starts a pipeline, or feeds one. Handled twice it has the same effect: a pipeline has one id, and an event that of its message. */
export async function handle(
  client: Client,
  fulfil: Orders['fulfil'],
  { id, value }: ReceivedMessage<Webhook>,
): Promise<void> {
  if (value.type === 'order.placed') await client.submit(fulfil, value.order, { id: value.order.id })
  else await client.sendEvent({ key: PAID, pipelineId: value.orderId, value: value.payment, id })
}
