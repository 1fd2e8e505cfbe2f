// Sends of one turn of the event loop leave in one call. What may not have arrived is sent again under the same id: a repeated submit
// names the same run and does nothing.
import { sleep, type Clock } from '../clock'
import type { Send, Space } from '../transport'

const TRIES = 4
const MOST = 1_000
const MOST_BYTES = 8 << 20

interface Waiting {
  readonly send: Send
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class Sender {
  readonly #space: Space
  readonly #clock: Clock
  #waiting: Waiting[] = []
  #flushing = false

  constructor(space: Space, clock: Clock) {
    this.#space = space
    this.#clock = clock
  }

  /** Resolves when the transport has stored it. */
  send(send: Send): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ send, resolve, reject })
      if (this.#flushing) return
      this.#flushing = true
      queueMicrotask(() => void this.#flush())
    })
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      let bytes = 0
      let count = 0
      while (count < this.#waiting.length && count < MOST && bytes < MOST_BYTES)
        bytes += this.#waiting[count++]!.send.body.length
      const batch = this.#waiting.slice(0, count)
      this.#waiting = this.#waiting.slice(count)
      await this.sendAll(batch.map(({ send }) => send)).then(
        (errors) =>
          errors.forEach((error, index) =>
            error === undefined ? batch[index]!.resolve() : batch[index]!.reject(error),
          ),
        (error: unknown) => batch.forEach(({ reject }) => reject(error as Error)),
      )
    }
    this.#flushing = false
  }

  /** One error, or undefined, for each send. */
  async sendAll(sends: readonly Send[]): Promise<readonly (Error | undefined)[]> {
    const errors: (Error | undefined)[] = sends.map(() => undefined)
    let left = sends.map((send, index) => ({ send, index }))
    for (let tries = 1; left.length > 0; tries++) {
      const outcomes = await this.#space.send(left.map(({ send }) => send))
      const again: typeof left = []
      left.forEach((item, at) => {
        const outcome = outcomes[at]!
        if (outcome.ok) return
        if (outcome.certain || tries === TRIES) errors[item.index] = outcome.error
        else again.push(item)
      })
      left = again
      if (left.length > 0) await sleep(this.#clock, 20 * 4 ** tries)
    }
    return errors
  }
}
