// Reading what is known to have been stored. A broker that has just come to lead a partition has all of it, and may for a while show less in a Fetch: it counts as stored there once the
// followers have asked. ListOffsets is refused until then (KIP-207), Fetch is not: an empty answer is no proof that there is nothing.
import type { Clock } from '@tasks/core/adapter'
import { sleep } from '@tasks/core/adapter'
import type { Chunk, KafkaDriver, LogRecord, Place } from './driver'
import { unavailable } from './failure'

export interface KnownReader {
  readonly driver: Pick<KafkaDriver, 'read'>
  readonly clock: Clock
  /** Nobody waits for it any more. */
  readonly signal?: AbortSignal
}

const PATIENCE_MS = 30_000
const PAUSE_MS = 20

/**
 * What there is from an offset on; waits until the leader shows what comes before `end`. Empty: compaction has left nothing there.
 * @throws TaskError TASKS_UNAVAILABLE if it never does
 */
export async function readKnown(
  { driver, clock, signal }: KnownReader,
  place: Place,
  from: number,
  end: number,
): Promise<Chunk> {
  const until = clock.monotonic() + PATIENCE_MS
  for (;;) {
    signal?.throwIfAborted()
    const chunk = await driver.read(place, from)
    if (chunk.next > from || (chunk.next === from && chunk.range.end >= end)) return chunk
    if (clock.monotonic() >= until) {
      const where = `${place.topic}/${place.partition}`
      throw unavailable(`reading ${where}`, `it ends at ${chunk.range.end}, and ended at ${end} before`, 'no')
    }
    await sleep(clock, PAUSE_MS, signal)
  }
}

/** The record of an offset, if compaction has left it. */
export async function recordAt(reader: KnownReader, place: Place, offset: number): Promise<LogRecord | undefined> {
  const { records } = await readKnown(reader, place, offset, offset + 1)
  return records.find((record) => record.offset === offset)
}
