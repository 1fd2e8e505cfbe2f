// A head start: the first tasks of a pipeline begin before the commit that notes them, and what has ended by then goes into that commit. Their input is the submit,
// which the inbox, or a client of this process, keeps: who gets it again begins them again. No later task may: it would see a result that is not committed, and that may be another next time.
//
// H1. Only for messages that came since this session can be the only one to have read them: an earlier one may have been killed by that task, with nothing to count it.
// H2. What was begun is not begun again by the same turn, however often its batch is folded.
// H3. A submit that comes twice may begin its task twice, if the pipeline's row was taken to be new (fold.ts): its commit is refused, and changes nothing.
import type { Clock } from '../clock'
import { DEFAULT_QUEUE } from '../task-options'
import type { Outcome } from '../wire/inbox-message'
import type { Dispatch, Draft, EntryName } from './draft'
import { sentEntryOf } from './following'
import type { LocalItem, LocalLane } from './local-lane'
import { nameOf } from './windows'

export class HeadStart {
  readonly #clock: Clock
  readonly #begun = new Set<string>()
  readonly #running = new Set<string>()
  #onAllEnded: () => void = () => undefined
  #allowed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** From here on the inbox holds nothing that an earlier session has read. */
  allow(): void {
    this.#allowed = true
  }

  /** Of these, what the lane has room for. Resolves when all of it has ended, or when the event loop has been around once; undefined if there is nothing. */
  begin(dispatches: readonly Dispatch[], lane: LocalLane, partition: number): Promise<void> | undefined {
    if (!this.#allowed || dispatches.length === 0) return undefined
    const items: LocalItem[] = []
    let room = lane.room()
    for (const dispatch of dispatches) {
      if (room === 0) break
      if (!mayGoLocal(dispatch, lane) || this.hasBegun(dispatch)) continue
      room--
      const name = nameOf(dispatch)
      this.#begun.add(name)
      this.#running.add(name)
      items.push({ partition, dispatch })
    }
    if (items.length === 0) return undefined
    lane.reserve(items.length)
    lane.submit(items)
    return new Promise((resolve) => {
      this.#onAllEnded = resolve
      // What waits for nothing has ended by then, and the event loop need not be asked.
      queueMicrotask(() => this.#running.size > 0 && this.#clock.soon(resolve))
    })
  }

  ended(entry: EntryName): void {
    if (this.#running.size === 0) return
    if (this.#running.delete(nameOf(entry)) && this.#running.size === 0) this.#onAllEnded()
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

  readonly isOf = (outcome: Outcome): boolean => this.#begun.size > 0 && this.hasBegun(sentEntryOf(outcome))

  /** The turn is over. */
  end(): void {
    this.#begun.clear()
    this.#running.clear()
  }
}

/** A raised priority is the queue's business: only there it can overtake. */
export function mayGoLocal({ step, shared }: Dispatch, lane: LocalLane): boolean {
  return !shared && step.priority === undefined && lane.serves(step.queue ?? DEFAULT_QUEUE, step.task)
}
