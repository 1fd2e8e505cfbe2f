import type { Cost } from '../cost'

/** What the same work costs without an engine. Both run `count` times and say what that cost. */
export interface Floors {
  /** Many independent items: what a fan-out and lone tasks are held against. */
  readonly items: Floor
  /** One thing after the other, each safe before the next: what a chain is held against. */
  readonly steps: Floor
  /** Where the store is a broker: what is received and settled, one by one. What was there before is not counted. */
  readonly deliveries?: Floor
  /** Where messages are stored in another way than in a commit: what enqueueing is held against. */
  readonly sends?: Floor
  close(): void
}

export interface Floor {
  readonly title: string
  run(count: number): Cost | Promise<Cost>
}
