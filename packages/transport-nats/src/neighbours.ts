// When a process dies its connection closes, on whichever machine it was, and nobody listens to its subject any more: the server says so at once. Then its
// partitions are free, and do not wait for their leases. Stealing is safe because of the fence, so this may be wrong: a host whose network has broken claims again.
import type { Clock } from '@tasks/core/adapter'
import type { Connection } from './connection'
import { isRefusal } from './failure'
import type { Hosts } from './hosts'
import type { Names } from './names'

const LOOK_MS = 300
const NOTHING = new Uint8Array(0)

export interface NeighboursOptions {
  readonly connection: Connection
  readonly clock: Clock
  readonly names: Names
  readonly hosts: Hosts
  /** This host. */
  readonly self: string
}

export class Neighbours {
  readonly #options: NeighboursOptions
  readonly #stopListening: () => void
  /** Hosts that are being asked, and those that were not there the last time. */
  readonly #asked = new Set<string>()
  readonly #missed = new Set<string>()
  #cancel: () => void = () => {}

  constructor(options: NeighboursOptions) {
    this.#options = options
    const { connection, names, self } = options
    const { stop } = connection.subscribe(names.alive(self), ({ reply }) => {
      if (reply) connection.say(reply)
    })
    this.#stopListening = stop
    this.#next()
  }

  stop(): void {
    this.#cancel()
    this.#cancel = () => {}
    this.#stopListening()
  }

  #next(): void {
    this.#cancel = this.#options.clock.after(
      LOOK_MS,
      () => {
        if (this.#options.connection.isConnected) for (const host of this.#options.hosts.alive()) void this.#look(host)
        this.#next()
      },
      { unref: true },
    )
  }

  /** Twice in a row, so that a connection that is made again is not taken for a death. */
  async #look(host: string): Promise<void> {
    if (this.#asked.has(host)) return
    const { connection, names, hosts } = this.#options
    this.#asked.add(host)
    try {
      await connection.call(names.alive(host), NOTHING)
      this.#missed.delete(host)
    } catch (error) {
      if (!isRefusal(error)) return
      if (this.#missed.delete(host)) hosts.forget(host)
      else this.#missed.add(host)
    } finally {
      this.#asked.delete(host)
    }
  }
}
