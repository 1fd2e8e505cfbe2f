// Who in this process waits for what. Commits of this process wake them directly; after commits of others, `look` asks the file
// once for all of them.
import type { Changes, Group } from './group-commit'

export interface QueueWaiter {
  readonly queues: readonly number[]
  wake(): void
}

export interface SlotWaiter {
  /** The last position that it has seen. */
  readonly after: number
  wake(): void
}

interface OwnerWaiters {
  readonly listeners: Set<() => void>
  /** The hosts and the free partitions at the last look. */
  seen: string
}

export class Waiting {
  readonly #group: Group
  readonly #queues = new Map<number, Set<QueueWaiter>>()
  readonly #slots = new Map<number, SlotWaiter>()
  readonly #owners = new Map<number, OwnerWaiters>()
  readonly #events = new Map<number, Set<() => void>>()

  constructor(group: Group) {
    this.#group = group
  }

  forQueues(waiter: QueueWaiter): () => void {
    for (const queue of waiter.queues) {
      const set = this.#queues.get(queue)
      if (set) set.add(waiter)
      else this.#queues.set(queue, new Set([waiter]))
    }
    return () => {
      for (const queue of waiter.queues) {
        const set = this.#queues.get(queue)
        set?.delete(waiter)
        if (set?.size === 0) this.#queues.delete(queue)
      }
    }
  }

  forSlot(slot: number, waiter: SlotWaiter): () => void {
    this.#slots.set(slot, waiter)
    return () => {
      if (this.#slots.get(slot) === waiter) this.#slots.delete(slot)
    }
  }

  forOwners(namespace: number, listener: () => void): () => void {
    const waiters = this.#owners.get(namespace) ?? { listeners: new Set(), seen: '' }
    this.#owners.set(namespace, waiters)
    waiters.listeners.add(listener)
    return () => {
      waiters.listeners.delete(listener)
      if (waiters.listeners.size === 0) this.#owners.delete(namespace)
    }
  }

  /** They look for themselves: few wait for events, and each from another place on. */
  forEvents(namespace: number, listener: () => void): () => void {
    const listeners = this.#events.get(namespace) ?? new Set()
    this.#events.set(namespace, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#events.delete(namespace)
    }
  }

  wake({ queues, slots, owners, events }: Partial<Omit<Changes, 'mail'>>): void {
    for (const queue of queues ?? []) for (const waiter of this.#queues.get(queue) ?? []) waiter.wake()
    for (const slot of slots ?? []) this.#slots.get(slot)?.wake()
    for (const namespace of owners ?? [])
      for (const listener of this.#owners.get(namespace)?.listeners ?? []) listener()
    for (const namespace of events ?? []) for (const listener of this.#events.get(namespace) ?? []) listener()
  }

  /** Everybody looks, and meets what there is to say. */
  wakeAll(): void {
    const keys = (waiters: ReadonlyMap<number, unknown>): Set<number> => new Set(waiters.keys())
    const [queues, slots] = [keys(this.#queues), keys(this.#slots)]
    this.wake({ queues, slots, owners: keys(this.#owners), events: keys(this.#events) })
  }

  /** Wakes those for whom another process has left something. */
  look(): void {
    const owners = new Set([...this.#owners.keys()].filter((namespace) => this.#ownersChanged(namespace)))
    this.wake({ owners, events: new Set(this.#events.keys()) })
    if (this.#queues.size === 0 && this.#slots.size === 0) return
    const queues = JSON.stringify([...this.#queues.keys()])
    const slots = JSON.stringify([...this.#slots].map(([slot, { after }]) => [slot, after]))
    const found = this.#group.all(LOOK, queues, slots) as { readonly kind: string; readonly id: number }[]
    const of = (kind: string): Set<number> => new Set(found.filter((each) => each.kind === kind).map(({ id }) => id))
    this.wake({ queues: of('queue'), slots: of('slot') })
  }

  #ownersChanged(namespace: number): boolean {
    const waiters = this.#owners.get(namespace)!
    const seen = JSON.stringify(this.#group.get(OWNERS, namespace))
    const changed = seen !== waiters.seen
    waiters.seen = seen
    return changed
  }
}

const OWNERS = `
SELECT (SELECT group_concat(id) FROM host WHERE namespace = ?1) AS hosts,
  (SELECT group_concat(number) FROM partition WHERE namespace = ?1 AND owner IS NULL) AS free`

const LOOK = `
SELECT 'queue' AS kind, q.value AS id FROM json_each(?1) q
WHERE EXISTS (SELECT 1 FROM ready WHERE queue = q.value) OR EXISTS (SELECT 1 FROM suspect WHERE queue = q.value)
UNION ALL
SELECT 'slot', s.value ->> 0 FROM json_each(?2) s
WHERE EXISTS (SELECT 1 FROM inbox WHERE slot = s.value ->> 0 AND seq > s.value ->> 1)`
