// A server before 2.10.25 may hand out nothing although there is something. A message that it holds to be with somebody, and that is gone from the stream, it looks for again whenever a
// lease has run out; each such look takes the turn that a request has given it, and ends it with nothing handed out. After a crash it may hold many to be so: it stores what was
// acknowledged later than it removes the message. While there are more of them than requests in the time of a lease, whatever is new waits.
// So whoever has a request there that is not answered, though something waits, gives it turns: requests that are over at once.
import type { Clock } from '@tasks/core/adapter'
import type { JetStream } from './jetstream'
import type { Pulls, Source } from './pulls'

export interface StallsOptions<S extends Source> {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly sources: readonly S[]
  readonly pulls: Pulls<S>
}

const LOOK_MS = 1_000
/** The first that goes on to the next message. */
const MENDED = [2, 10, 25] as const
/** Turns that are given between two looks; requests that are over wait on the server until it has looked at them. */
const TURNS = 100
/** Looks at a time. */
const LOOKS = 20

export class Stalls<S extends Source> {
  readonly #options: StallsOptions<S>
  /** How far the server had handed out at the last look, of a source that is asked. */
  readonly #reached = new Map<S, number>()
  #cancel: () => void = () => {}
  #isOver = false

  constructor(options: StallsOptions<S>) {
    this.#options = options
  }

  start(): void {
    this.#cancel = this.#options.clock.after(
      LOOK_MS,
      () => {
        const { jetstream, sources } = this.#options
        const looks = mayStall(jetstream.connection.info.version) ? sources.map((source) => this.#look(source)) : []
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
    for (let look = 0; look < LOOKS; look++) {
      const before = this.#reached.get(source)
      this.#reached.delete(source)
      if (this.#isOver || !pulls.isAsking(source)) return
      const info = await jetstream.consumerInfo(source.stream, source.consumer)
      if (info === undefined || info.num_pending === 0) return
      const reached = info.delivered.stream_seq
      this.#reached.set(source, reached)
      if (before !== reached) return
      for (let turn = 0; turn < TURNS && pulls.isAsking(source); turn++) {
        pulls.nudge(source)
        await jetstream.connection.flush()
      }
    }
  }
}

function mayStall(version: string): boolean {
  const found = version.split('.').map(Number)
  for (const [i, least] of MENDED.entries()) if (found[i] !== least) return (found[i] ?? 0) < least
  return false
}
