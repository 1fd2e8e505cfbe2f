// What this process has just stored apart, still in memory: who reads it next is mostly beside whoever wrote it. The owner reads the pages of a
// pipeline that a task here returned, the task that is behind a group reads the results that the owner here has put together.
import type { Blobs, Bytes, Space } from './transport'

/** What is kept at most, in bytes. */
const MOST_BYTES = 16 << 20

/** The same space, whose blobs need not be fetched by the process that wrote them. */
export function withRecentBlobs(space: Space): Space {
  return {
    namespace: space.namespace,
    partitions: space.partitions,
    get capabilities() {
      return space.capabilities
    },
    send: (batch) => space.send(batch),
    consume: (options) => space.consume(options),
    own: (options) => space.own(options),
    replies: (onReply) => space.replies(onReply),
    signal: (body) => space.signal(body),
    onSignal: (handler) => space.onSignal(handler),
    backlog: (queue) => space.backlog(queue),
    now: () => space.now(),
    ...(space.reader === undefined ? {} : { reader: space.reader }),
    events: space.events,
    dead: space.dead,
    blobs: new RecentBlobs(space.blobs),
    close: () => space.close(),
  }
}

/** A page is written once and never changed, so it may be kept; it is given to the first who asks, for readers have caches of their own. */
class RecentBlobs implements Blobs {
  readonly #blobs: Blobs
  readonly #recent = new Map<string, Bytes>()
  #bytes = 0

  constructor(blobs: Blobs) {
    this.#blobs = blobs
  }

  async put(key: string, page: number, bytes: Bytes): Promise<void> {
    await this.#blobs.put(key, page, bytes)
    const name = nameOf(key, page)
    this.#forget(name)
    this.#recent.set(name, bytes)
    this.#bytes += bytes.length
    for (const oldest of this.#recent.keys()) {
      if (this.#bytes <= MOST_BYTES) break
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

  #forget(name: string): void {
    this.#bytes -= this.#recent.get(name)?.length ?? 0
    this.#recent.delete(name)
  }
}

const nameOf = (key: string, page: number): string => `${key}#${page}`
