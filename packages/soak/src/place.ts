// Where workers and clients meet. It is said in words, so that it can be told to another process.
import type { Adapter, Transport } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'

export interface Place {
  readonly url: string
  /** The module that makes a transport of it. */
  readonly adapter: URL
}

export async function transportOf({ url, adapter }: Place): Promise<Transport> {
  const { fromUrl } = (await import(adapter.href)) as Adapter
  return fromUrl(url, { clock: systemClock })
}
