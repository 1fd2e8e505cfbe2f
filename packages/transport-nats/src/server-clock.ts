import type { Clock } from '@tasks/core/adapter'
import type { JetStream } from './jetstream'
import type { Names } from './names'

/** How long a look is good for: clocks drift. */
const FRESH_MS = 60_000
/** When the server stored the message is known up to half of how long that took: a connection that had to be made again, or a busy machine, and it is asked again. */
const SLOW_MS = 200
const TRIES = 3

interface Asked {
  readonly sequence: number
  readonly before: number
  readonly after: number
}

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
    const store = async (): Promise<Asked> => {
      const before = this.#clock.monotonic()
      const sequence = await this.#jetstream.store(this.#names.clock, Buffer.from('?'))
      return { sequence, before, after: this.#clock.monotonic() }
    }
    let asked: Asked
    let tries = 0
    do asked = await connection.insist('the clock', true, store)
    while (asked.after - asked.before > SLOW_MS && ++tries < TRIES)
    const { sequence, before, after } = asked
    // Another process may have asked since; its time is as good.
    const stored =
      (await this.#jetstream.find(this.#names.streams.state, { seq: sequence })) ??
      (await this.#jetstream.find(this.#names.streams.state, { last_by_subj: this.#names.clock }))
    if (stored === undefined) return
    this.#offset = stored.at - (before + after) / 2
    this.#lookedAt = after
  }
}
