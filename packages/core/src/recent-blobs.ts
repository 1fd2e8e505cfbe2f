// What this process has just stored apart, still in memory: who reads it next is mostly beside whoever wrote it. The owner reads the pages of a
// pipeline that a task here returned, the task that is behind a group reads the results that the owner here has put together.
import type { Blobs, Bytes, Space } from './transport'

/** What is kept at most: the latest. */
const MOST_BYTES = 16 << 20
const MOST_PAGES = 1_000

/** The same space. A page that it has just stored is read once, by whoever asks first, without the store. */
export function withRecentBlobs(space: Space): Space {
  const blobs = new RecentBlobs(space.blobs)
  const { namespace, partitions, capabilities, reader, events, dead } = space
  // A member that a space may have later is missed here by the compiler.
  const same: Required<Omit<Space, 'reader'>> = {
    namespace,
    partitions,
    capabilities,
    send: (batch) => space.send(batch),
    consume: (options) => space.consume(options),
    own: (options) => space.own(options),
    replies: (onReply) => space.replies(onReply),
    signal: (body) => space.signal(body),
    onSignal: (handler) => space.onSignal(handler),
    backlog: (queue) => space.backlog(queue),
    now: () => space.now(),
    events,
    dead,
    blobs,
    close() {
      blobs.forgetAll()
      return space.close()
    },
  }
  return reader === undefined ? same : { ...same, reader }
}

/** A page is written once, under a name that is never used again, so it cannot be out of date. */
class RecentBlobs implements Blobs {
  readonly #blobs: Blobs
  readonly #recent = new Map<string, Bytes>()
  #bytes = 0

  constructor(blobs: Blobs) {
    this.#blobs = blobs
  }

  async put(key: string, page: number, bytes: Bytes): Promise<void> {
    // The bytes are the caller's again once they are stored; and as part of a value they would keep all of it in memory.
    const kept = new Uint8Array(bytes)
    await this.#blobs.put(key, page, bytes)
    const name = nameOf(key, page)
    this.#forget(name)
    this.#recent.set(name, kept)
    this.#bytes += kept.length
    for (const oldest of this.#recent.keys()) {
      if (this.#bytes <= MOST_BYTES && this.#recent.size <= MOST_PAGES) break
      this.#forget(oldest)
    }
  }

  get(key: string, page: number): Promise<Bytes | undefined> {
    const name = nameOf(key, page)
    const known = this.#recent.get(name)
    if (known === undefined) return this.#blobs.get(key, page)
    this.#forget(name)
    return Promise.resolve(known)
  }

  async drop(prefix: string): Promise<void> {
    for (const name of this.#recent.keys()) if (name.startsWith(prefix)) this.#forget(name)
    await this.#blobs.drop(prefix)
  }

  list(options: Parameters<Blobs['list']>[0]): ReturnType<Blobs['list']> {
    return this.#blobs.list(options)
  }

  forgetAll(): void {
    this.#recent.clear()
    this.#bytes = 0
  }

  #forget(name: string): void {
    this.#bytes -= this.#recent.get(name)?.length ?? 0
    this.#recent.delete(name)
  }
}

const nameOf = (key: string, page: number): string => `${key}#${page}`
