// The seam between owners and the workers of the same process: a task that is due is handed over in memory, after the commit that made it
// due (the first of a pipeline may be before, head-start.ts), and its outcome enters the owner's next commit, without queue and inbox.
import type { Outcome } from '../wire/inbox-message'
import type { EntryName, Dispatch } from './draft'

export interface LocalItem {
  readonly partition: number
  readonly dispatch: Dispatch
}

/** What an owner sees of the workers of its process. */
export interface LocalLane {
  /** Whether this process consumes that queue and knows that task. */
  serves(queue: string, task: string): boolean
  /** How many more items it could take and start soon. */
  room(): number
  /** All slots are taken by tasks that will take a while: others should have the rest. */
  isBusy(): boolean
  /** Keeps room for items whose commit is under way. Every reservation is followed by `submit` or `release`. */
  reserve(count: number): void
  release(count: number): void
  /** Hands over what was reserved. */
  submit(items: readonly LocalItem[]): void
  /** Whether this process runs that entry now, whichever session handed it over, or has its outcome and not stored it yet. */
  isRunning(entry: EntryName): boolean
  /** From now on `owner` is who this process has for its partition. */
  attach(owner: LaneOwner): void
  /** Takes back what was handed over and not started. What runs goes on; its outcomes go to the inbox. */
  detach(owner: LaneOwner): readonly Dispatch[]
  /** These outcomes were given to a session that is over, and may not be committed: they go to the inbox. */
  toInbox(outcomes: readonly Outcome[]): void
}

/** What the workers of its process see of an owner. */
export interface LaneOwner {
  readonly partition: number
  /** `quiet`: nothing else runs or waits in the lane, so there is nothing to wait for. */
  outcome(outcome: Outcome, quiet: boolean): void
  /** These were handed over and not started: let others have them. */
  requeue(dispatches: readonly Dispatch[]): void
  /** There is room in the lane, or it is busy. */
  roomAgain(): void
}
