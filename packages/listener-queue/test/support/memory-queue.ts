// A queue in this process, for what has nothing to do with a server.
import type { QueueDriver, QueueMessage } from '../../src/index'

export class MemoryQueue implements QueueDriver {
  readonly #bodies = new Map<string, string>()
  readonly #ready: string[] = []
  readonly #deliveries = new Map<string, number>()
  readonly log: string[] = []
  calls = 0
  #last = 0
  #wake: () => void = () => undefined

  push(...bodies: readonly string[]): void {
    for (const body of bodies) {
      const id = `m${++this.#last}`
      this.#bodies.set(id, body)
      this.#ready.push(id)
    }
    this.#wake()
  }

  get size(): number {
    return this.#bodies.size
  }

  async receive(most: number, signal: AbortSignal): Promise<readonly QueueMessage[]> {
    this.calls++
    if (this.#ready.length === 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    return this.#ready.splice(0, most).map((id) => {
      const deliveries = (this.#deliveries.get(id) ?? 0) + 1
      this.#deliveries.set(id, deliveries)
      return { id, body: this.#bodies.get(id)!, deliveries, token: id }
    })
  }

  /** What was handed out and is not acknowledged comes again. */
  endLeases(): void {
    this.#ready.push(...[...this.#bodies.keys()].filter((id) => !this.#ready.includes(id)))
    this.#wake()
  }

  async acknowledge(token: string): Promise<void> {
    this.log.push(`acknowledged ${token}`)
    this.#bodies.delete(token)
  }

  async giveBack(token: string): Promise<void> {
    this.log.push(`gave back ${token}`)
    if (!this.#bodies.has(token)) return
    this.#ready.push(token)
    this.#wake()
  }
}
