// Knows when everything that was in an inbox at some time has been folded: what was sent to it last is a marker.
import type { Clock } from '../clock'
import type { PartitionSession, Space } from '../transport'
import { encodeInbox } from '../wire/inbox-message'

export class Markers {
  readonly #space: Space
  readonly #session: PartitionSession
  readonly #clock: Clock
  /** Who waits for which, by its id. */
  readonly #waiting = new Map<string, () => void>()

  constructor(space: Space, session: PartitionSession, clock: Clock) {
    this.#space = space
    this.#session = session
    this.#clock = clock
  }

  /** Resolves when what is in the inbox now has been folded; if the session ends before, never. */
  async caughtUp(): Promise<void> {
    const { claim, partition } = this.#session
    const id = `${claim}.m${this.#clock.uid()}`
    const folded = new Promise<void>((resolve) => this.#waiting.set(id, resolve))
    const body = encodeInbox({ type: 'running', items: [] })
    const [outcome] = await this.#space.send([{ target: { to: 'inbox', partition }, id, body }])
    if (outcome?.ok !== false) await folded
    this.#waiting.delete(id)
    if (outcome?.ok === false) throw outcome.error
  }

  folded(messageId: string): void {
    if (this.#waiting.size > 0) this.#waiting.get(messageId)?.()
  }
}
