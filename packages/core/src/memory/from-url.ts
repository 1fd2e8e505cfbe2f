import type { Clock } from '../clock'
import type { Transport } from '../transport'
import { memoryStore, type MemoryStore } from './memory-store'
import { memoryTransport } from './memory-transport'

// A URL names a store; a program that opens the same one twice means the same one.
const stores = new Map<string, MemoryStore>()

/** `memory:` or `memory:<name>`: a store of this process, shared by everything that opens it by the same URL. */
export function fromUrl(url: string, { clock }: { readonly clock: Clock }): Transport {
  let store = stores.get(url)
  if (store === undefined) stores.set(url, (store = memoryStore({ clock })))
  return memoryTransport({ store })
}
