// Events on their way from a worker to the log: gathered for a moment, sent in batches, and never waited for, unless somebody asks.
//
// X1. `add` costs the engine no call of the transport. What gathers while the transport is slow or away is kept up to a limit; beyond it events are dropped, and counted.
// X2. What is not known to be stored is sent again, under the same ids: subscribers drop what they have seen.
// X3. One batch for a partition is under way at a time: its events are in the log in the order in which they were added.
import { sleep, waitAtMost, type Clock } from '../clock'
import { TaskError } from '../errors'
import { batchesOf } from '../events/cloud-event'
import type { Logger } from '../logger'
import type { Send, Space } from '../transport'

/** How long events gather, unless there are so many. */
const GATHER_MS = 20
const ENOUGH_CHARACTERS = 256 * 1024
/** What is kept while the log takes nothing. */
const MOST_CHARACTERS = 8 * 1024 * 1024
const FIRST_PAUSE_MS = 100
const MOST_PAUSE_MS = 5_000

export interface EventOutboxOptions {
  readonly space: Space
  readonly clock: Clock
  readonly logger: Logger
  /** What send ids begin with. */
  readonly name: string
  /** Nothing is dropped while the outbox is open: whoever adds waits for `stored`. */
  readonly keepsAll: boolean
}

interface Batch {
  readonly send: Send
  readonly events: number
}

export class EventOutbox {
  readonly #options: EventOutboxOptions
  readonly #closing = new AbortController()
  /** Events as JSON, by partition. */
  #waiting = new Map<number, string[]>()
  /** Characters of events that are not in the log yet. */
  #held = 0
  #onStored: (() => void)[] = []
  #sending: Promise<void> | undefined
  #hurry: ((when: 'now' | 'soon') => void) | undefined
  #sends = 0
  #dropped = 0

  constructor(options: EventOutboxOptions) {
    this.#options = options
  }

  /** Events that nobody will see. */
  get dropped(): number {
    return this.#dropped
  }

  add(partition: number, event: string): void {
    const isFull = this.#held + event.length > MOST_CHARACTERS && !this.#options.keepsAll
    if (isFull || this.#closing.signal.aborted) {
      this.#dropped++
      return
    }
    this.#held += event.length
    const waiting = this.#waiting.get(partition)
    if (waiting === undefined) this.#waiting.set(partition, [event])
    else waiting.push(event)
    this.#sending ??= this.#sendAll()
    // At once: where tasks and transport need no I/O, timers may have to wait for long.
    if (this.#held > ENOUGH_CHARACTERS) this.#hurry?.('now')
  }

  /** Resolves when all that was added is in the log; or never will be, because the transport is closed. */
  stored(): Promise<void> {
    if (this.#sending === undefined) return Promise.resolve()
    this.#hurry?.('soon')
    return new Promise((resolve) => this.#onStored.push(resolve))
  }

  /** Sends what is left, for so long; the rest is dropped. */
  async close(patienceMs: number): Promise<void> {
    const { clock, logger } = this.#options
    await waitAtMost(clock, patienceMs, this.stored())
    this.#closing.abort()
    await waitAtMost(clock, patienceMs, this.#sending ?? Promise.resolve())
    if (this.#dropped > 0) logger.warn({ events: this.#dropped }, 'events of this worker were dropped')
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.size > 0 || this.#onStored.length > 0) {
      await this.#gather()
      this.#hurry = undefined
      const sent = this.#held
      const onStored = this.#onStored
      const rounds = this.#rounds()
      this.#onStored = []
      for (const batches of rounds) await this.#send(batches)
      this.#held -= sent
      for (const stored of onStored) stored()
    }
    this.#sending = undefined
  }

  /** Lets some time pass, unless somebody waits. */
  #gather(): Promise<void> {
    const { clock } = this.#options
    return new Promise((resolve) => {
      if (this.#onStored.length > 0 || this.#closing.signal.aborted) return clock.soon(resolve)
      const cancel = clock.after(GATHER_MS, resolve, { unref: true })
      this.#hurry = (when) => {
        cancel()
        if (when === 'now') resolve()
        else clock.soon(resolve)
      }
    })
  }

  /** All that waits, in rounds of at most one batch for each partition. */
  #rounds(): readonly (readonly Batch[])[] {
    const { space, name } = this.#options
    const rounds: Batch[][] = []
    for (const [partition, waiting] of this.#waiting) {
      batchesOf(waiting, space.capabilities.maxMessageBytes).forEach(({ body, events }, round) => {
        const send: Send = { target: { to: 'events', partition }, id: `${name}.e${this.#sends++}`, body }
        ;(rounds[round] ??= []).push({ send, events })
      })
    }
    this.#waiting = new Map()
    return rounds
  }

  async #send(batches: readonly Batch[]): Promise<void> {
    const { clock, logger } = this.#options
    const { signal } = this.#closing
    let left = batches
    for (let failures = 0; ; failures++) {
      const { again, error } = await this.#try(left)
      left = again
      if (left.length === 0) return
      if (signal.aborted) {
        for (const { events } of left) this.#dropped += events
        return
      }
      if (failures === 0) logger.debug({ error }, 'events of this worker could not be sent, and are sent again')
      await sleep(clock, Math.min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures) * (0.5 + clock.random() / 2), signal)
    }
  }

  /** Sends them once; what can never be stored is dropped. */
  async #try(batches: readonly Batch[]): Promise<{ readonly again: readonly Batch[]; readonly error: unknown }> {
    const again: Batch[] = []
    let failure: unknown
    const failed = (batch: Batch, error: unknown): void => {
      failure = error
      if (isForGood(error)) this.#dropped += batch.events
      else again.push(batch)
    }
    try {
      const outcomes = await this.#options.space.send(batches.map(({ send }) => send))
      batches.forEach((batch, i) => {
        const outcome = outcomes[i]!
        if (!outcome.ok) failed(batch, outcome.error)
      })
    } catch (error) {
      for (const batch of batches) failed(batch, error)
    }
    return { again, error: failure }
  }
}

function isForGood(error: unknown): boolean {
  return TaskError.is(error) && (error.code === 'TASKS_CLOSED' || error.code === 'TASKS_TOO_LARGE')
}
