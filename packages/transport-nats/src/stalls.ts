// A server before 2.10.25 may hand out nothing although there is something. A message that it holds to be with somebody, and that is gone from the stream, it looks for again whenever a
// lease has run out; each such look takes the turn that a request has given it, and ends it with nothing handed out. After a crash it may hold many to be so: it stores what was
// acknowledged later than it removes the message. While there are more of them than requests in the time of a lease, whatever is new waits, and what has run out comes late.
// So whoever has a request there that is not answered makes more of them, which give the server turns. They are answered like any other.
import type { Clock } from '@tasks/core/adapter'
import type { JetStream } from './jetstream'
import type { Pulls, Source } from './pulls'
import { isBefore } from './server'

export interface StallsOptions<S extends Source> {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly sources: readonly S[]
  readonly pulls: Pulls<S>
}

const LOOK_MS = 1_000
/** The first that goes on to the next message. */
const MENDED = [2, 10, 25] as const
/** Turns that are given at a time: they wait there for a second, so this many messages may come at once. */
const MOST_TURNS = 100
/** Where it has not helped, what the server holds to be with somebody is: it is tried again after twice as many looks, up to this many. */
const MOST_LOOKS = 32

interface Seen {
  /** How far the server had handed out, first and repeated times counted. */
  readonly reached: number
  /** How many looks are passed over now, and how many the next time. */
  readonly rest: number
  readonly pause: number
}

export class Stalls<S extends Source> {
  readonly #options: StallsOptions<S>
  /** At the last look, of a source that waited. */
  readonly #seen = new Map<S, Seen>()
  #cancel: () => void = () => {}
  #isOver = false

  constructor(options: StallsOptions<S>) {
    this.#options = options
  }

  start(): void {
    const { jetstream, clock, sources } = this.#options
    this.#cancel = clock.after(
      LOOK_MS,
      () => {
        const mayStall = isBefore(jetstream.connection.info.version, MENDED)
        const looks = mayStall ? sources.map((source) => this.#look(source)) : []
        // What could not be looked at is looked at the next time.
        void Promise.allSettled(looks).then(() => this.#isOver || this.start())
      },
      { unref: true },
    )
  }

  stop(): void {
    this.#isOver = true
    this.#cancel()
  }

  async #look(source: S): Promise<void> {
    const { jetstream, pulls } = this.#options
    if (!pulls.isAsking(source)) return
    const info = await jetstream.consumerInfo(source.stream, source.consumer)
    if (info === undefined || info.num_ack_pending === 0) return void this.#seen.delete(source)
    const reached = info.delivered.consumer_seq
    const { reached: before, rest, pause } = this.#seen.get(source) ?? { reached: -1, rest: 0, pause: 1 }
    if (reached !== before) return void this.#seen.set(source, { reached, rest: 0, pause: 1 })
    // What is new waits although it is asked for: that is certain.
    const isStalled = info.num_pending > 0
    if (!isStalled && rest > 0) return void this.#seen.set(source, { reached, rest: rest - 1, pause })
    this.#seen.set(source, { reached, rest: pause, pause: Math.min(2 * pause, MOST_LOOKS) })
    for (let turn = 0; turn < Math.min(info.num_ack_pending + 1, MOST_TURNS); turn++) {
      if (this.#isOver || !pulls.isAsking(source)) return
      pulls.nudge(source)
      await jetstream.connection.flush()
    }
  }
}
