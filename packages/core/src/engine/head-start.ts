// A head start: the first tasks of a pipeline begin before the commit that notes them, and what has ended by then goes into that commit. Their input is the submit,
// which the inbox keeps: who reads it again begins them again. No later task may: it would see a result that is not committed, and that may be another next time.
//
// H1. Only for messages that came since this session can be the only one to have read them: an earlier one may have been killed by that task, with nothing to count it.
// H2. What was begun is not begun again by the same turn, however often its batch is folded.
import { DEFAULT_QUEUE } from '../task-options'
import type { Outcome } from '../wire/inbox-message'
import type { Dispatch, Draft, EntryName } from './draft'
import type { LocalItem, LocalLane } from './local-lane'
import { nameOf } from './windows'

export class HeadStart {
  readonly #begun = new Set<string>()
  #allowed = false

  /** From here on the inbox holds nothing that an earlier session has read. */
  allow(): void {
    this.#allowed = true
  }

  /** Of these, what the lane has room for. */
  begin(dispatches: readonly Dispatch[], lane: LocalLane, partition: number): boolean {
    if (!this.#allowed || dispatches.length === 0) return false
    const items: LocalItem[] = []
    let room = lane.room()
    for (const dispatch of dispatches) {
      if (room === 0) break
      if (!mayGoLocal(dispatch, lane) || this.hasBegun(dispatch)) continue
      room--
      this.#begun.add(nameOf(dispatch))
      items.push({ partition, dispatch })
    }
    if (items.length === 0) return false
    lane.reserve(items.length)
    lane.submit(items)
    return true
  }

  hasBegun(entry: EntryName): boolean {
    return this.#begun.size > 0 && this.#begun.has(nameOf(entry))
  }

  /** Those of the dispatches that are to be noted: without what has been begun and has ended in this very draft. */
  notEnded({ dispatches, closed }: Draft): readonly Dispatch[] {
    if (this.#begun.size === 0) return dispatches
    const ended = new Set<string>()
    for (const entry of closed) if (this.hasBegun(entry)) ended.add(nameOf(entry))
    return ended.size === 0 ? dispatches : dispatches.filter((dispatch) => !ended.has(nameOf(dispatch)))
  }

  readonly isOf = (outcome: Outcome): boolean => this.hasBegun(outcome)

  /** The turn is over. */
  end(): void {
    this.#begun.clear()
  }
}

/** A raised priority is the queue's business: only there it can overtake. */
export function mayGoLocal({ step, shared }: Dispatch, lane: LocalLane): boolean {
  return !shared && step.priority === undefined && lane.serves(step.queue ?? DEFAULT_QUEUE, step.task)
}
