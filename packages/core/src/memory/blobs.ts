// Large values, by key and page.
import type { Clock } from '../clock'
import type { Bytes } from '../transport'
import { SortedKeys } from '../adapter/sorted-keys'

interface Blob {
  readonly at: number
  readonly pages: Map<number, Bytes>
}

export class BlobPages {
  readonly #clock: Clock
  readonly #blobs = new Map<string, Blob>()
  readonly #order = new SortedKeys(this.#blobs)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Write-once: a page that is there stays as it is. */
  put(key: string, page: number, bytes: Bytes): void {
    let blob = this.#blobs.get(key)
    if (blob === undefined) {
      blob = { at: this.#clock.now(), pages: new Map() }
      this.#blobs.set(key, blob)
      this.#order.added(key)
    }
    if (!blob.pages.has(page)) blob.pages.set(page, new Uint8Array(bytes))
  }

  get(key: string, page: number): Bytes | undefined {
    return this.#blobs.get(key)?.pages.get(page)?.slice()
  }

  drop(prefix: string): void {
    for (const key of this.#order.list(prefix, undefined, Infinity)) {
      this.#blobs.delete(key)
      this.#order.removed(key)
    }
  }

  list(after: string | undefined, limit: number): { readonly key: string; readonly at: number }[] {
    return this.#order.list('', after, limit).map((key) => ({ key, at: this.#blobs.get(key)!.at }))
  }
}
