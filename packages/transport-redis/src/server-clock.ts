import type { Clock } from '@tasks/core/adapter'
import type { Connection } from './connection'

/** The server's clock as it was at the last look, moved on by the time since: for the age of messages. Leases use the server's own. */
export class ServerClock {
  readonly #connection: Connection
  readonly #clock: Clock
  #offset = 0

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection
    this.#clock = clock
  }

  /** Whole milliseconds since the epoch. */
  now(): number {
    return Math.round(this.#clock.monotonic() + this.#offset)
  }

  /** Asks the server. */
  async look(): Promise<number> {
    const before = this.#clock.monotonic()
    const [seconds, micros] = (await this.#connection.command('time')) as readonly unknown[]
    const after = this.#clock.monotonic()
    const now = Number(String(seconds)) * 1000 + Number(String(micros)) / 1000
    this.#offset = now - (before + after) / 2
    return now
  }
}
