// The other hosts. When a process dies its connections close, on whichever machine it was, and nobody listens to its channel any more: then its partitions are
// freed, and do not wait for their leases. Stealing is safe because of the fence, so it may be wrong: a host whose network has broken for as long claims again.
import type { Clock } from '@tasks/core/adapter'
import type { Connection } from './connection'
import type { Keys } from './keys'
import { missing } from './scripts/missing'

const LOOK_MS = 300

export interface NeighboursOptions {
  readonly connection: Connection
  readonly clock: Clock
  readonly keys: Keys
  /** This host. */
  readonly host: string
  readonly bury: (host: string) => Promise<unknown>
}

export class Neighbours {
  readonly #options: NeighboursOptions
  #missed = new Set<string>()
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
    const look = (): void => {
      // Whoever is not heard of is looked for again.
      this.#look().then(
        () => this.#next(),
        () => this.#next(),
      )
    }
    this.#cancel = this.#options.clock.after(LOOK_MS, look, { unref: true })
  }

  /** Twice in a row, so that a connection that is made again is not taken for a death. */
  async #look(): Promise<void> {
    const { connection, keys, host, bury } = this.#options
    const found = (await connection.run(missing, [keys.hosts], [host, keys.mailbox('')])) as readonly Buffer[]
    const names = found.map(String)
    const before = this.#missed
    this.#missed = new Set(names)
    for (const name of names) if (before.has(name) && !this.#stopped) await bury(name)
  }
}

/** A host's name tells the connection that it is on. */
export function hostName(connection: string, number: string): string {
  return `${connection}/${number}`
}

export function connectionOf(host: string): string {
  return host.slice(0, host.indexOf('/'))
}
