// How a scheme of URLs gets its transports.
import type { Clock } from '../clock'
import type { Logger } from '../logger'
import type { Transport } from '../transport'

/** What an adapter package exports. */
export interface Adapter {
  /**
   * Makes the transport that a URL means; nothing need be reached before its `open`.
   * @throws TaskError TASKS_OPTIONS for a malformed URL, TASKS_MISSING_PACKAGE if what it needs is not installed
   */
  fromUrl(url: string, options: AdapterOptions): Transport | Promise<Transport>
}

export interface AdapterOptions {
  readonly clock: Clock
  /** Hears what nobody has to act upon: what is wrong is thrown. */
  readonly logger?: Logger
}
