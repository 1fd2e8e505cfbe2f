// Messages whose task this worker does not know. A deploy may be under way: another worker, or a newer one, knows it. So they are given back
// until this worker has known of one for as long as the grace period: how long it waited in its queue before that says nothing.
import type { Clock } from '../clock'
import type { TaskMessage } from '../wire/task-message'

/** Beyond this many the oldest are forgotten, and have their grace again. */
const MOST = 20_000
const TELL_AGAIN_MS = 60_000
const LEAST_DELAY_MS = 250
const MOST_DELAY_MS = 30_000

export class UnknownTasks {
  readonly #clock: Clock
  /** When a message was first seen, by what it asks for. */
  readonly #seen = new Map<string, number>()
  /** When a task was last warned of, by name. */
  readonly #told = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes note of a message, and says for how many ms it has been known. */
  see(message: TaskMessage): number {
    const now = this.#clock.monotonic()
    const key = keyOf(message)
    const since = this.#seen.get(key)
    if (since !== undefined) return now - since
    this.#seen.set(key, now)
    if (this.#seen.size > MOST) this.#seen.delete(this.#seen.keys().next().value!)
    return 0
  }

  forget(message: TaskMessage): void {
    this.#seen.delete(keyOf(message))
  }

  /** How long to leave it alone, by its age. */
  delayOf({ sentAt }: TaskMessage): number {
    return Math.min(MOST_DELAY_MS, Math.max(LEAST_DELAY_MS, (this.#clock.now() - sentAt) / 4))
  }

  /** Whether it is time to warn of this task, again. */
  isToBeTold(task: string): boolean {
    const now = this.#clock.monotonic()
    if (now - (this.#told.get(task) ?? -Infinity) <= TELL_AGAIN_MS) return false
    this.#told.set(task, now)
    return true
  }
}

const keyOf = ({ id, run, path, attempt }: TaskMessage): string => `${run}${id}${path}#${attempt}`
