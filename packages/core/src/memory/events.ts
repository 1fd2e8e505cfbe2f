// The event logs of a namespace, as one connection reads them, alone or as a member of a named subscription.
import { TaskError } from '../errors'
import type {
  EventLog,
  EventPage,
  EventRetention,
  EventSubscription,
  HeldPage,
  Position,
  ReadEvents,
  SubscribeOptions,
} from '../transport'
import type { Lifetime } from './lifetime'
import type { Cursor, Hold, Namespace } from './namespace'

interface Wait {
  readonly waitMs: number
  readonly signal?: AbortSignal
}

export class MemoryEvents implements EventLog {
  readonly #namespace: Namespace
  readonly #lifetime: Lifetime

  constructor(namespace: Namespace, lifetime: Lifetime) {
    this.#namespace = namespace
    this.#lifetime = lifetime
  }

  get retention(): EventRetention {
    return this.#namespace.retention
  }

  async read({ after, max, waitMs, signal }: ReadEvents): Promise<readonly EventPage[]> {
    this.#lifetime.check()
    const take = (): readonly EventPage[] | undefined => {
      const pages: EventPage[] = []
      let left = max
      for (const [partition, position] of after) {
        if (left <= 0) break
        const page = this.#namespace.partitions[partition]?.events.read(position, left)
        if (page === undefined) continue
        pages.push(page)
        left -= page.events.length
      }
      return pages.length > 0 ? pages : undefined
    }
    return (await this.#await(take, { waitMs, ...(signal && { signal }) })) ?? []
  }

  async positions(since?: number): Promise<readonly Position[]> {
    this.#lifetime.check()
    return this.#namespace.partitions.map(({ events }) =>
      String(since === undefined ? events.end : events.before(since)),
    )
  }

  async subscribe({ name, from, leaseMs }: SubscribeOptions): Promise<EventSubscription> {
    this.#lifetime.check()
    const { subscriptions, partitions, clock } = this.#namespace
    const cursors = subscriptions.get(name) ?? from.map((position): Cursor => ({ position, holder: undefined }))
    subscriptions.set(name, cursors)
    const held = new Set<Hold>()
    let closed = false
    let first = 0
    /** Another partition is the first each time, so that a busy one cannot keep the others waiting. */
    const take = (max: number): HeldPage | undefined => {
      const turn = first++
      for (let i = 0; i < cursors.length; i++) {
        const partition = (turn + i) % cursors.length
        const cursor = cursors[partition]!
        if (cursor.holder !== undefined && cursor.holder.until > clock.monotonic()) continue
        const page = partitions[partition]!.events.read(cursor.position, max)
        if (page === undefined) continue
        const token: Hold = { cursor, until: clock.monotonic() + leaseMs }
        cursor.holder = token
        held.add(token)
        return { ...page, token }
      }
      return undefined
    }
    const letGo = (hold: Hold, position: Position | undefined): void => {
      held.delete(hold)
      if (hold.cursor.holder !== hold) return
      hold.cursor.holder = undefined
      hold.cursor.position = position
      this.#namespace.wakeReaders()
    }
    const close = (): void => {
      closed = true
      for (const hold of held) letGo(hold, hold.cursor.position)
      this.#namespace.wakeReaders()
    }
    const forget = this.#lifetime.onEnd((how) => how === 'closed' && close())
    return {
      receive: async ({ max, waitMs, signal }) => {
        this.#lifetime.check()
        if (closed) throw new TaskError('TASKS_CLOSED', `this member of subscription "${name}" is closed`)
        const until = clock.monotonic() + waitMs
        for (;;) {
          if (signal?.aborted || closed) return undefined
          // A lease that runs out wakes nobody.
          const left = Math.max(0, Math.min(until - clock.monotonic(), leaseMs))
          const page = await this.#await(() => (closed ? undefined : take(max)), {
            waitMs: left,
            ...(signal && { signal }),
          })
          if (page !== undefined || clock.monotonic() >= until) return page
        }
      },
      settle: async (page) => {
        this.#lifetime.check()
        letGo(page.token as Hold, page.position)
      },
      extend: async ({ token }) => {
        this.#lifetime.check()
        ;(token as Hold).until = clock.monotonic() + leaseMs
      },
      close: async () => {
        forget()
        close()
      },
    }
  }

  async forget(name: string): Promise<void> {
    this.#lifetime.check()
    this.#namespace.subscriptions.delete(name)
  }

  /** What `take` gives, now or when something has come that it can take. */
  #await<T>(take: () => T | undefined, { waitMs, signal }: Wait): Promise<T | undefined> {
    const found = signal?.aborted ? undefined : take()
    if (found !== undefined || waitMs <= 0 || signal?.aborted) return Promise.resolve(found)
    const { readers, clock } = this.#namespace
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        cancel()
        forget()
        readers.delete(look)
        signal?.removeEventListener('abort', giveUp)
      }
      const end = (value: T | undefined): void => {
        leave()
        resolve(value)
      }
      const giveUp = (): void => end(undefined)
      const look = (): void => {
        const value = take()
        if (value !== undefined) end(value)
      }
      const cancel = clock.after(waitMs, giveUp)
      const forget = this.#lifetime.onEnd(() => {
        leave()
        reject(this.#lifetime.error())
      })
      signal?.addEventListener('abort', giveUp, { once: true })
      readers.add(look)
    })
  }
}
