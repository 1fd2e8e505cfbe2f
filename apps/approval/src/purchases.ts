// A purchase that a person has to approve. The pipeline asks, and then waits for what comes first: the decision, or the end of a day. At the end of a day it reminds and
// waits again; after the third it gives up. While it waits it is rows, and nothing else.
import { createTasks, waitForEvent, type Pipeline, type Task, type TaskError, type Tasks } from '@tasks/core'

export interface Purchase {
  readonly what: string
  readonly amount: number
  /** Who is asked. */
  readonly approver: string
}

/** Whatever a stranger sends. */
export function isPurchase(x: unknown): x is Purchase {
  const { what, amount, approver } = Object(x) as Readonly<Record<string, unknown>>
  return typeof what === 'string' && typeof amount === 'number' && typeof approver === 'string'
}

/** What is sent to the pipeline, as the event `decision`. */
export interface Decision {
  readonly approved: boolean
  readonly by: string
}

export type Outcome = `ordered: ${string}` | `declined: ${string}` | `expired: ${string}`

export const NAMESPACE = 'approval'
export const DECISION = 'decision'
export const DAY_MS = 24 * 3_600_000
const DAYS = 3

export interface Purchases {
  readonly tasks: Tasks
  /** The workflow: submit it with the purchase. */
  readonly buy: Task<[Purchase], Pipeline<Outcome>>
}

/** @param tell reaches a person; called again if it is not known whether it did */
export function purchases(tell: (whom: string, message: string) => unknown, dayMs: number = DAY_MS): Purchases {
  const tasks = createTasks({ namespace: NAMESPACE, retry: { maxRetries: 5 } })

  /** What is decided, from this day on; null if nothing is. */
  const decided = (purchase: Purchase, day: number): Pipeline<Decision | null> =>
    waitForEvent<Decision>({ key: DECISION, pipeline: true }, { timeoutMs: dayMs }).exceptionally(
      dayIsOver,
      purchase,
      day,
    )

  const dayIsOver: Task<[TaskError, Purchase, number], Promise<Pipeline<Decision | null> | null>> = tasks.bind(
    'dayIsOver',
    async (error: TaskError, purchase: Purchase, day: number): Promise<Pipeline<Decision | null> | null> => {
      if (error.code !== 'TASKS_TIMEOUT') throw error
      if (day === DAYS) return null
      await tell(purchase.approver, `reminder ${day}: ${purchase.what} for ${purchase.amount} waits for your decision`)
      return decided(purchase, day + 1)
    },
  )

  const ask = tasks.bind('ask', async (purchase: Purchase): Promise<Pipeline<Decision | null>> => {
    await tell(purchase.approver, `please decide: ${purchase.what} for ${purchase.amount}`)
    return decided(purchase, 1)
  })

  const settle = tasks.bind('settle', (decision: Decision | null, { what }: Purchase): Outcome => {
    if (decision === null) return `expired: ${what}`
    return decision.approved ? `ordered: ${what}` : `declined: ${what}`
  })

  const buy = tasks.bind('buy', (purchase: Purchase) => ask.send(purchase).continueWith(settle, purchase))
  return { tasks, buy }
}
