// How a scheme of URLs gets its transports.
import type { Clock } from '../clock'
import type { Transport } from '../transport'

/** What an adapter package exports. */
export interface Adapter {
  /**
   * Makes the transport that a URL means; nothing need be reached before its `open`.
   * @throws TaskError TASKS_OPTIONS for a malformed URL, TASKS_MISSING_PACKAGE if what it needs is not installed
   */
  fromUrl(url: string, options: { readonly clock: Clock }): Transport | Promise<Transport>
}
