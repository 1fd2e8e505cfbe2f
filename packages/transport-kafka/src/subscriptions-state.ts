// How far named subscriptions have come, and who holds the next page of which partition: a pure function of the records of their log.
//
// U1. A page is held by one token at a time. What is said of a token that does not hold it any more has no effect.
import type { Position } from '@tasks/core'

export type SubscriptionSaying =
  /** A name that is known goes on where it is. */
  | { readonly op: 'join'; readonly name: string; readonly from: readonly (Position | null)[] }
  | {
      readonly op: 'take'
      readonly name: string
      readonly partition: number
      readonly token: string
      readonly leaseMs: number
    }
  | {
      readonly op: 'settle'
      readonly name: string
      readonly partition: number
      readonly token: string
      readonly position: Position
    }
  | {
      readonly op: 'keep'
      readonly name: string
      readonly partition: number
      readonly token: string
      readonly leaseMs: number
    }
  | { readonly op: 'letGo'; readonly name: string; readonly partition: number; readonly token: string }
  | { readonly op: 'forget'; readonly name: string }
  /** What all records up to an offset have led to: for those who begin to read when they are gone. */
  | { readonly op: 'picture'; readonly upTo: number; readonly picture: SubscriptionsPicture }

/** A state as plain data. */
export interface SubscriptionsPicture {
  readonly time: number
  readonly subscriptions: readonly (readonly [name: string, cursors: readonly Partial<SubscriptionCursor>[]])[]
}

export interface SubscriptionCursor {
  position: Position | undefined
  token: string | undefined
  until: number
}

export class SubscriptionsState {
  readonly #subscriptions = new Map<string, readonly SubscriptionCursor[]>()
  #time = 0

  picture(): SubscriptionsPicture {
    return { time: this.#time, subscriptions: [...this.#subscriptions] }
  }

  /** Goes on from a picture. */
  restore({ time, subscriptions }: SubscriptionsPicture): void {
    this.#time = time
    this.#subscriptions.clear()
    for (const [name, cursors] of subscriptions)
      this.#subscriptions.set(
        name,
        cursors.map(({ position, token, until = 0 }) => ({ position, token, until })),
      )
  }

  cursors(name: string): readonly SubscriptionCursor[] {
    return this.#subscriptions.get(name) ?? []
  }

  fold(time: number, saying: SubscriptionSaying): void {
    this.#time = Math.max(this.#time, time)
    if (saying.op === 'join') {
      if (!this.#subscriptions.has(saying.name))
        this.#subscriptions.set(
          saying.name,
          saying.from.map((position) => ({ position: position ?? undefined, token: undefined, until: 0 })),
        )
      return
    }
    if (saying.op === 'forget') {
      this.#subscriptions.delete(saying.name)
      return
    }
    if (saying.op === 'picture') return
    const cursor = this.#subscriptions.get(saying.name)?.[saying.partition]
    if (cursor === undefined) return
    if (saying.op === 'take') {
      if (isHeld(cursor, this.#time)) return
      cursor.token = saying.token
      cursor.until = this.#time + saying.leaseMs
      return
    }
    if (cursor.token !== saying.token) return
    if (saying.op === 'keep') cursor.until = this.#time + saying.leaseMs
    else {
      cursor.token = undefined
      if (saying.op === 'settle') cursor.position = saying.position
    }
  }
}

export function isHeld({ token, until }: SubscriptionCursor, now: number): boolean {
  return token !== undefined && until > now
}
