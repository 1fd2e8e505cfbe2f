import { TaskError } from '../errors'

/** `closed` gives everything back first; `crashed` is what a dead process does: nothing. */
export type Ending = 'closed' | 'crashed'

/** From open to closed, of a space and all that hangs on it. */
export class Lifetime {
  readonly #of: string
  readonly #endings = new Set<(how: Ending) => void>()
  #over = false

  constructor(of: string) {
    this.#of = of
  }

  get over(): boolean {
    return this.#over
  }

  error(): TaskError {
    return new TaskError('TASKS_CLOSED', `${this.#of} is closed`)
  }

  check(): void {
    if (this.#over) throw this.error()
  }

  /** Calls `fn` at the end; returns how to forget it. */
  onEnd(fn: (how: Ending) => void): () => void {
    this.#endings.add(fn)
    return () => this.#endings.delete(fn)
  }

  end(how: Ending): void {
    if (this.#over) return
    this.#over = true
    for (const fn of this.#endings) fn(how)
    this.#endings.clear()
  }
}
