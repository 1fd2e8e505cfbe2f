import assert from 'node:assert/strict'
import type { PartitionSession, Space } from '@tasks/core'
import { eventually } from './patience'

export interface OwnerOptions {
  readonly leaseMs: number
  readonly eventuallyMs: number
  /** Handlers go on after `lost`, until they are told to finish. */
  readonly stuck?: boolean
  /** Called first thing in each handler. */
  readonly onOwned?: (session: PartitionSession) => Promise<void> | void
}

/** Runs a host of a space, and keeps what it was given. A handler ends when `lost` fires, or when it is told to. */
export class Owner {
  /** Every session it was ever given, in the order of the claims. */
  readonly sessions: PartitionSession[] = []
  /** Partitions it was given while their last session was still running. */
  readonly overlaps: number[] = []
  /** Settles with `run`. */
  readonly ended: Promise<void>
  readonly #eventuallyMs: number
  readonly #stopping = new AbortController()
  readonly #running = new Map<number, { readonly session: PartitionSession; readonly finish: () => void }>()

  constructor(space: Space, options: OwnerOptions) {
    this.#eventuallyMs = options.eventuallyMs
    this.ended = space.own({ leaseMs: options.leaseMs }).run(async (session) => {
      if (this.#running.has(session.partition)) this.overlaps.push(session.partition)
      const finished = new Promise<void>((finish) => {
        this.#running.set(session.partition, { session, finish })
        if (options.stuck) return
        if (session.lost.aborted) finish()
        session.lost.addEventListener('abort', () => finish(), { once: true })
      })
      this.sessions.push(session)
      await options.onOwned?.(session)
      await finished
      if (this.#running.get(session.partition)?.session === session) this.#running.delete(session.partition)
    }, this.#stopping.signal)
    this.ended.catch(() => {})
  }

  /** The partitions whose handlers are running. */
  owned(): number[] {
    return [...this.#running.keys()].sort((a, b) => a - b)
  }

  /** The running session of a partition, as soon as there is one. */
  session(partition: number): Promise<PartitionSession> {
    return eventually(this.#eventuallyMs, () => {
      const session = this.#running.get(partition)?.session
      assert.ok(session, `nobody was given partition ${partition}`)
      return session
    })
  }

  /** Lets the handler of a partition return. */
  finish(partition: number): void {
    this.#running.get(partition)?.finish()
  }

  /** Lets the handler return, and waits for the next session of the partition: this host claims again. */
  async next(partition: number): Promise<PartitionSession> {
    const before = await this.session(partition)
    this.finish(partition)
    return eventually(this.#eventuallyMs, async () => {
      const session = this.#running.get(partition)?.session
      assert.ok(session !== undefined && session !== before, `partition ${partition} was not claimed again`)
      return session
    })
  }

  /** Asks the host to stop; `ended` tells when it has. */
  stop(): Promise<void> {
    this.#stopping.abort()
    return this.ended
  }

  finishAll(): void {
    for (const { finish } of this.#running.values()) finish()
  }
}
