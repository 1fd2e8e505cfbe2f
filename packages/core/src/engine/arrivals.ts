// What an owner has been given and has not folded yet: inbox messages, outcomes from its own process, and what it says to itself.
import type { Capabilities, InboxMessage, Position } from '../transport'
import { decodeInbox, outcomeBytes, type Outcome, type SubmitMessage } from '../wire/inbox-message'
import type { Input } from './input'

export interface Arrived {
  readonly input: Input
  /** Inbox messages only. */
  readonly message?: InboxMessage
  /** How much it counts towards a batch. */
  readonly weight: number
  readonly bytes: number
  /** The owner's own inputs, and submits of its process: called when the commit with it has succeeded. */
  readonly done?: () => void
}

/** Inputs in one commit, if the transport takes so many items. Enough to make a commit's fixed cost small, few enough to keep it short. */
export const MOST_INPUTS = 2_000

/** Inbox messages in memory: above the first of each no more are asked for, until there are fewer than the second. */
const MOST_WAITING = { count: 4 * MOST_INPUTS, bytes: 32 << 20 }
const FEW_WAITING = { count: MOST_INPUTS, bytes: 8 << 20 }

/** The most that may go into one commit on this transport: an input comes to a few rows and sends. */
export function mostInputs({ maxCommitItems }: Capabilities): number {
  return Math.max(1, Math.min(MOST_INPUTS, Math.floor(maxCommitItems / 8)))
}

export class Arrivals {
  #inbox: Arrived[] = []
  #inboxBytes = 0
  #outcomes: Outcome[] = []
  /** Those of the batch that was taken last, until it is committed. */
  #taken: readonly Outcome[] = []
  #own: Arrived[] = []
  #onDrained: (() => void) | undefined

  get empty(): boolean {
    return this.#inbox.length === 0 && this.#outcomes.length === 0 && this.#own.length === 0
  }

  addMessages(messages: readonly InboxMessage[]): void {
    for (const message of messages) {
      this.#inbox.push(arrivedOf(message))
      this.#inboxBytes += message.body.length
    }
  }

  /** A submit of this process, in one line with those of others. */
  addSubmit(input: SubmitMessage, done: () => void): void {
    let bytes = 0
    for (const page of input.definition.pages) bytes += page.length
    this.#inbox.push({ input, weight: 1, bytes, done })
    this.#inboxBytes += bytes
  }

  /** More waits than the next batch can take. */
  get isBehind(): boolean {
    return this.#inbox.length >= FEW_WAITING.count || this.#inboxBytes >= FEW_WAITING.bytes
  }

  /** Back-pressure: resolves when few enough messages wait here; what does not stays with the transport. */
  drained(): Promise<void> | undefined {
    const isFew = this.#inbox.length <= MOST_WAITING.count && this.#inboxBytes <= MOST_WAITING.bytes
    return isFew ? undefined : new Promise((resolve) => (this.#onDrained = resolve))
  }

  /** Nobody will take anything more. */
  stop(): void {
    this.#onDrained?.()
    this.#onDrained = undefined
  }

  /** The batch that was taken last is committed. */
  committed(): void {
    this.#taken = []
  }

  /** Outcomes that are not known to be committed. */
  takeUncommitted(): readonly Outcome[] {
    const outcomes = [...this.#taken, ...this.#outcomes]
    this.#taken = []
    this.#outcomes = []
    return outcomes
  }

  addOutcome(outcome: Outcome): void {
    this.#outcomes.push(outcome)
  }

  /** Takes those that fit, into the batch that was taken last. */
  takeOutcomes(fits: (outcome: Outcome) => boolean): readonly Outcome[] {
    const outcomes = this.#outcomes.filter(fits)
    if (outcomes.length === 0) return outcomes
    this.#outcomes = this.#outcomes.filter((outcome) => !fits(outcome))
    this.#taken = [...this.#taken, ...outcomes]
    return outcomes
  }

  /** They were not folded after all. */
  putBack(outcomes: readonly Outcome[]): void {
    this.#taken = this.#taken.filter((outcome) => !outcomes.includes(outcome))
    this.#outcomes = [...outcomes, ...this.#outcomes]
  }

  addOwn(arrived: Arrived): void {
    this.#own.push(arrived)
  }

  /** Takes a batch that fits into one commit, and says how much more would. */
  take(capabilities: Capabilities): { readonly batch: Arrived[]; readonly left: number } {
    const batch: Arrived[] = []
    let weight = mostInputs(capabilities)
    let bytes = capabilities.maxCommitBytes >> 2
    const takeFrom = (list: Arrived[]): Arrived[] => {
      let taken = 0
      for (; taken < list.length && weight > 0 && bytes > 0; taken++) {
        batch.push(list[taken]!)
        weight -= list[taken]!.weight
        bytes -= list[taken]!.bytes
      }
      return list.slice(taken)
    }
    let count = 0
    for (; count < this.#outcomes.length && weight > 0 && bytes > 0; count++) {
      weight--
      bytes -= outcomeBytes(this.#outcomes[count]!)
    }
    if (count > 0) {
      const outcomes = this.#outcomes.slice(0, count)
      this.#outcomes = this.#outcomes.slice(count)
      this.#taken = outcomes
      batch.push({ input: { type: 'outcomes', outcomes }, weight: count, bytes: 0 })
    }
    // After the outcomes: what was thought to be lost may just have ended.
    this.#own = takeFrom(this.#own)
    const own = batch.length
    this.#inbox = takeFrom(this.#inbox)
    for (let at = own; at < batch.length; at++) this.#inboxBytes -= batch[at]!.bytes
    if (this.#inbox.length < FEW_WAITING.count && this.#inboxBytes < FEW_WAITING.bytes) {
      this.#onDrained?.()
      this.#onDrained = undefined
    }
    return { batch, left: Math.max(0, weight) }
  }
}

function arrivedOf(message: InboxMessage): Arrived {
  const { body } = message
  try {
    const input = decodeInbox(body)
    return { input, message, weight: input.type === 'outcomes' ? input.outcomes.length : 1, bytes: body.length }
  } catch (error) {
    return { input: { type: 'undecodable', error }, message, weight: 1, bytes: body.length }
  }
}

/** Up to where a batch consumes the inbox. */
export function lastPosition(batch: readonly Arrived[]): Position | undefined {
  for (let index = batch.length - 1; index >= 0; index--) {
    const { message } = batch[index]!
    if (message !== undefined) return message.position
  }
  return undefined
}
