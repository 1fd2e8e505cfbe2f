import { decodeFrames } from './frame'
import type { JetStream } from './jetstream'
import type { Names } from './names'
import { LEVELS } from './names'
import type { ServerClock } from './server-clock'

interface BacklogParts {
  readonly jetstream: JetStream
  readonly names: Names
  readonly serverClock: ServerClock
}

/** The age of the oldest message of the queue that nobody holds, in ms; undefined if there is none. */
export async function backlog(
  { jetstream, names, serverClock }: BacklogParts,
  queue: string,
): Promise<number | undefined> {
  const stream = names.streams.queue
  const oldest = await Promise.all(
    LEVELS.map(async (level) => {
      const { consumer, subject } = names.queue(queue, level)
      const info = await jetstream.consumerInfo(stream, consumer)
      if (info?.num_pending === 0) return undefined
      // What nobody has ever asked for waits from the beginning.
      return jetstream.find(stream, { next_by_subj: subject, seq: (info?.delivered.stream_seq ?? 0) + 1 })
    }),
  )
  const times = oldest.flatMap((found) =>
    found === undefined ? [] : [decodeFrames(found.data)[0]!.sentAt || found.at],
  )
  if (times.length === 0) return undefined
  return Math.max(0, (await serverClock.now()) - Math.min(...times))
}
