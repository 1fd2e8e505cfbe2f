// A log in memory, of one partition, that can be cut, that loses its end, and whose followers can be held up: what a broker does once in months.
import type { Batch, Chunk, KafkaDriver, LogRecord, Place, Range, Stored } from '../../src/driver'

interface Follower {
  next: number
  isHeld: boolean
  readonly onChunk: (chunk: Chunk) => void
}

export class CutLog {
  readonly place: Place = { topic: 'log', partition: 0 }
  readonly #followers = new Set<Follower>()
  #records: LogRecord[] = []
  #start = 0
  #end = 0
  /** By the broker's clock, of what comes. */
  time = 0

  /** One process's view of it. */
  driver(): { readonly driver: KafkaDriver; readonly follower: () => Follower } {
    let mine: Follower | undefined
    const driver = {
      range: async (): Promise<Range> => this.#range,
      read: async (_: Place, from: number): Promise<Chunk> => this.#chunk(from),
      produce: async (batches: readonly Batch[]): Promise<readonly Stored[]> =>
        batches.map(({ records }) => ({ ok: true, offset: this.append(records[0]!.value!) })),
      truncate: async (_: Place, before: number): Promise<void> => this.cut(before),
      follow: (_: Place, from: number, onChunk: (chunk: Chunk) => void): (() => void) => {
        const follower = { next: from, isHeld: false, onChunk }
        this.#followers.add((mine = follower))
        queueMicrotask(() => this.#tell(follower))
        return () => void this.#followers.delete(follower)
      },
    } satisfies Partial<KafkaDriver>
    return { driver: driver as unknown as KafkaDriver, follower: () => mine! }
  }

  /** What is not cut. */
  get all(): readonly LogRecord[] {
    return this.#records
  }

  get end(): number {
    return this.#end
  }

  append(value: Buffer): number {
    const offset = this.#end++
    this.#records.push({ offset, time: this.time, key: null, value })
    for (const follower of this.#followers) queueMicrotask(() => this.#tell(follower))
    return offset
  }

  cut(before: number): void {
    this.#start = Math.max(this.#start, before)
    this.#records = this.#records.filter(({ offset }) => offset >= before)
  }

  loseFrom(end: number): void {
    this.#end = end
    this.#records = this.#records.filter(({ offset }) => offset < end)
  }

  release(follower: Follower): void {
    follower.isHeld = false
    this.#tell(follower)
  }

  get #range(): Range {
    return { start: this.#start, end: this.#end }
  }

  #chunk(asked: number): Chunk {
    const from = Math.min(Math.max(asked, this.#start), this.#end)
    const records = this.#records.filter(({ offset }) => offset >= from)
    return { from, records, next: this.#end, range: this.#range }
  }

  #tell(follower: Follower): void {
    if (follower.isHeld || !this.#followers.has(follower)) return
    const chunk = this.#chunk(follower.next)
    if (chunk.next === follower.next) return
    follower.next = chunk.next
    follower.onChunk(chunk)
  }
}
