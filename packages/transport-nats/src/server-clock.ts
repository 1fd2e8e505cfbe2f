import type { Clock } from '@tasks/core/adapter'
import type { JetStream } from './jetstream'
import type { Names } from './names'

/** How long a look is good for: clocks drift. */
const FRESH_MS = 60_000

/** The server's clock, as a message that was stored tells it, moved on by the time since. */
export class ServerClock {
  readonly #jetstream: JetStream
  readonly #names: Names
  readonly #clock: Clock
  #offset = 0
  #lookedAt = -Infinity

  constructor(jetstream: JetStream, names: Names, clock: Clock) {
    this.#jetstream = jetstream
    this.#names = names
    this.#clock = clock
  }

  async now(): Promise<number> {
    if (this.#clock.monotonic() - this.#lookedAt > FRESH_MS) await this.#look()
    return this.#clock.monotonic() + this.#offset
  }

  async #look(): Promise<void> {
    const { connection } = this.#jetstream
    const before = this.#clock.monotonic()
    const sequence = await connection.insist('the clock', true, () =>
      this.#jetstream.store(this.#names.clock, Buffer.from('?')),
    )
    const after = this.#clock.monotonic()
    // Another process may have asked since; its time is as good.
    const stored =
      (await this.#jetstream.find(this.#names.streams.state, { seq: sequence })) ??
      (await this.#jetstream.find(this.#names.streams.state, { last_by_subj: this.#names.clock }))
    if (stored === undefined) return
    this.#offset = stored.at - (before + after) / 2
    this.#lookedAt = after
  }
}
