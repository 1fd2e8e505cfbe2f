// Reads what a stream has of some subjects, in order, from a sequence number on, and goes on as it comes. An ephemeral consumer without acknowledgements does it;
// when something is missing, or the consumer or the connection is gone, another goes on where the last message was.
import type { Clock } from '@tasks/core/adapter'
import type { Msg } from '@nats-io/transport-node'
import type { JetStream, Stored } from './jetstream'
import { unavailable } from './failure'
import { deliveryOf, NANOS } from './jetstream'

export interface ReaderOptions {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly stream: string
  /** One pattern: 2.9 knows no more. */
  readonly filter: string
  /** The sequence of the first message to read. */
  readonly from: number
  /** A message that was read before, by whoever goes on here. */
  readonly last?: Known
  /** Without what the messages hold. */
  readonly headersOnly?: boolean
  /** There is something to take. */
  readonly onMore: () => void
  /**
   * What was read last is not there any more, or another is in its place: the server has lost the end of the stream, in a power cut, and gives its numbers out again. All that there is will be
   * read once more; if absent, only what comes.
   */
  readonly onEndLost?: () => void
}

/** A number alone may be another message's by now. */
interface Known {
  readonly sequence: number
  readonly at: number
}

/** How much is asked for at a time, and how much may lie here unread. */
const BATCH = 512
const BATCH_BYTES = 8 * 1024 * 1024
const EXPIRES_MS = 30_000
/** After three of them without a word the consumer is taken for dead: in a cluster its server may be. */
const HEARTBEAT_MS = 1_000
const RETRY_MS = 100
/** A consumer that nobody asks is removed by the server. */
const INACTIVE_MS = 60_000

export class Reader {
  readonly #options: ReaderOptions
  readonly #stopListening: () => void
  #unread: Stored[] = []
  #unreadBytes = 0
  #next: number
  #last: Known | undefined
  #consumer: Feed | undefined
  #pending: number | undefined
  #cancelRetry: () => void = () => {}
  #closed = false

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#next = options.from
    this.#last = options.last
    this.#stopListening = options.jetstream.connection.onGap(() => this.#restart())
    void this.#start()
  }

  get isEmpty(): boolean {
    return this.#unread.length === 0
  }

  /** Whether everything has been read that was there when it was last looked. */
  get caughtUp(): boolean {
    return this.#pending === 0
  }

  /** Up to `max` messages, as they are here. */
  take(max: number): Stored[] {
    const taken = this.#unread.length <= max ? this.#unread : this.#unread.slice(0, max)
    this.#unread = this.#unread.length <= max ? [] : this.#unread.slice(max)
    for (const { data } of taken) this.#unreadBytes -= data.length
    this.#ask()
    return taken
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stopListening()
    this.#cancelRetry()
    this.#leave()
  }

  async #start(): Promise<void> {
    const { jetstream, clock, stream, filter, headersOnly = false, onEndLost } = this.#options
    const consumer = new Feed()
    this.#consumer = consumer
    try {
      const [{ name, num_pending }, isEndLost] = await Promise.all([
        jetstream.createReader(stream, {
          filter_subject: filter,
          ack_policy: 'none',
          deliver_policy: 'by_start_sequence',
          opt_start_seq: Math.max(1, this.#next),
          replay_policy: 'instant',
          inactive_threshold: INACTIVE_MS * NANOS,
          headers_only: headersOnly,
        }),
        onEndLost !== undefined && this.#isEndLost(),
      ])
      consumer.name = name
      if (this.#consumer !== consumer || isEndLost) jetstream.forgetConsumer(stream, name)
      if (this.#consumer !== consumer) return
      if (isEndLost) {
        this.#next = 1
        this.#last = undefined
        onEndLost?.()
        return this.#restart()
      }
      this.#pending = num_pending
      const inbox = jetstream.connection.newInbox()
      consumer.inbox = inbox
      const { stop } = jetstream.connection.subscribe(inbox, (message) => this.#hear(consumer, message))
      consumer.stop = stop
      this.#ask()
      if (num_pending === 0) this.#options.onMore()
    } catch {
      // A stream without a leader, or no connection for a while: whoever waits has a time of its own.
      if (this.#consumer === consumer) this.#cancelRetry = clock.after(RETRY_MS, () => this.#restart(), { unref: true })
    }
  }

  /** By the leader: the copy that a consumer reads may only be late, and what it says of its place is its own guess. */
  async #isEndLost(): Promise<boolean> {
    const { jetstream, stream } = this.#options
    if (this.#last === undefined) return false
    const { sequence, at } = this.#last
    const found = await jetstream.find(stream, { seq: sequence })
    if (found !== undefined) return found.at !== at
    // What was dropped by its age went with all that was before it.
    const info = await jetstream.streamInfo(stream)
    return info !== undefined && info.state.first_seq <= sequence
  }

  #restart(): void {
    if (this.#closed) return
    this.#leave()
    void this.#start()
  }

  #leave(): void {
    const consumer = this.#consumer
    this.#consumer = undefined
    this.#pending = undefined
    this.#cancelRetry()
    if (consumer?.inbox === undefined) return
    consumer.stop()
    consumer.cancelSilence()
    this.#options.jetstream.forgetConsumer(this.#options.stream, consumer.name)
  }

  /** Half a batch before what was asked for has come, so that it does not stop and go. */
  #ask(): void {
    const consumer = this.#consumer
    if (consumer?.inbox === undefined || consumer.asked > BATCH / 2) return
    if (this.#unread.length > BATCH || this.#unreadBytes > BATCH_BYTES) return
    const { jetstream, stream } = this.#options
    consumer.asked += BATCH
    const request = {
      batch: BATCH,
      max_bytes: BATCH_BYTES,
      expires: EXPIRES_MS * NANOS,
      idle_heartbeat: HEARTBEAT_MS * NANOS,
    }
    if (jetstream.pull(stream, consumer.name, consumer.inbox, request)) this.#expectSign(consumer)
  }

  #expectSign(consumer: Feed): void {
    const { clock } = this.#options
    consumer.heardAt = clock.monotonic()
    if (consumer.isWatched) return
    let due = 0
    let wasBusy = false
    const lookIn = (ms: number): void => {
      due = clock.monotonic() + ms
      consumer.cancelSilence = clock.after(ms, look, { unref: true })
    }
    const look = (): void => {
      const now = clock.monotonic()
      const left = consumer.heardAt + HEARTBEAT_MS * 3 - now
      if (this.#consumer !== consumer) return
      // It was this process that did not listen: what has come meanwhile is heard first.
      wasBusy = !wasBusy && now > due + HEARTBEAT_MS
      if (left <= 0 && consumer.asked > 0 && !wasBusy) this.#restart()
      else lookIn(Math.max(left, HEARTBEAT_MS))
    }
    consumer.isWatched = true
    lookIn(HEARTBEAT_MS * 3)
  }

  #hear(consumer: Feed, message: Msg): void {
    if (this.#consumer !== consumer) return
    consumer.heardAt = this.#options.clock.monotonic()
    const { reply, headers } = message
    if (headers !== undefined && headers.code > 0 && !reply?.startsWith('$JS.ACK.')) {
      // Its time is over, or it was too much for one request: the next one goes on. Anything else, and the consumer is of no use any more.
      if (headers.code === 100) {
        // It is idle: there is nothing, whatever it has said before. Its count is not true while others replace or purge messages.
        this.#pending = 0
        this.#options.onMore()
        return
      }
      const isOver = headers.code === 408 || /max ?bytes/i.test(headers.description)
      if (!isOver) {
        this.#cancelRetry()
        this.#cancelRetry = this.#options.clock.after(RETRY_MS, () => this.#restart(), { unref: true })
        return
      }
      consumer.asked = Math.max(0, consumer.asked - (Number(headers.get('Nats-Pending-Messages')) || BATCH))
      this.#ask()
      return
    }
    const { stream: sequence, sequence: counted, at, pending } = deliveryOf(reply ?? '')
    if (counted !== consumer.counted + 1) return this.#restart()
    consumer.counted = counted
    consumer.asked--
    this.#pending = pending
    // A consumer may be on a copy that is late, which takes a number behind its end for its end: what was read, or purged, is no beginning.
    if (sequence >= this.#next) {
      this.#next = sequence + 1
      this.#last = { sequence, at }
      const data = message.data
      this.#unread.push({ subject: message.subject, sequence, at, data })
      this.#unreadBytes += data.length
    }
    this.#ask()
    this.#options.onMore()
  }
}

/** A consumer of the server, as this end of it knows it. */
class Feed {
  name = ''
  /** Where its messages come; it exists from then on. */
  inbox: string | undefined
  /** Messages that are on their way. */
  asked = 0
  counted = 0
  heardAt = 0
  isWatched = false
  stop: () => void = () => {}
  cancelSilence: () => void = () => {}
}

interface ReadAllOptions extends Omit<ReaderOptions, 'onMore'> {
  readonly limit: number
  /** There is more until `onMessages` says that it is enough: how much a consumer says that it has left is not true while others purge. */
  readonly isEndKnown?: boolean
  /** How long no message may come. */
  readonly patienceMs: number
}

/** What there is of some subjects from a sequence on, up to `limit` messages, in order, or until `onMessages` answers true. */
export function readAll(
  options: ReadAllOptions,
  onMessages: (messages: readonly Stored[]) => boolean | void,
): Promise<void> {
  const { clock, limit, isEndKnown = false, patienceMs } = options
  return new Promise((resolve, reject) => {
    let read = 0
    let cancel = (): void => {}
    const end = (error?: unknown): void => {
      cancel()
      reader.close()
      if (error === undefined) resolve()
      else reject(error as Error)
    }
    // Of no message: a long reading may take its time, and a reader that says that it lives, and finds nothing, is not waited for.
    const watch = (): void => {
      cancel()
      cancel = clock.after(patienceMs, () => end(silent(options.stream, patienceMs)))
    }
    watch()
    const reader: Reader = new Reader({
      ...options,
      onMore() {
        const messages = reader.take(limit - read)
        if (messages.length > 0) watch()
        read += messages.length
        try {
          const enough = messages.length > 0 && onMessages(messages) === true
          if (enough || read >= limit || (!isEndKnown && reader.caughtUp && reader.isEmpty)) end()
        } catch (error) {
          end(error)
        }
      },
    })
  })
}

function silent(stream: string, ms: number): Error {
  return unavailable(`reading ${stream}`, `nothing came for ${ms} ms`, 'no')
}
