// The other hosts of this machine. Kafka tells nobody that a connection has closed; but whether a process is gone its neighbours can see, and then its partitions are free, and do not
// wait for their leases. On another machine they do.
import type { Clock, ProcessIdentity } from '@tasks/core/adapter'
import { isGone } from '@tasks/core/adapter'
import type { OwnersState } from './owners-state'

const LOOK_MS = 300

export interface NeighboursOptions {
  readonly clock: Clock
  readonly state: OwnersState
  readonly self: ProcessIdentity
  /** Says it of a host. */
  readonly bury: (host: string) => Promise<void>
}

export class Neighbours {
  readonly #options: NeighboursOptions
  #cancel: () => void = () => {}
  #stopped = false

  constructor(options: NeighboursOptions) {
    this.#options = options
    this.#next()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #next(): void {
    if (this.#stopped) return
    // Whom it could not bury it sees again.
    const look = (): void => void this.#look().then(() => this.#next())
    this.#cancel = this.#options.clock.after(LOOK_MS, look, { unref: true })
  }

  async #look(): Promise<void> {
    const { state, self, bury } = this.#options
    const gone = [...state.processes()].filter(
      ([, process]) => process.machine === self.machine && process.pid !== self.pid && isGone(process),
    )
    await Promise.allSettled(gone.map(([host]) => bury(host)))
  }
}
