// A consumer that has outlived the end of its stream. The server stores what a consumer knows more often than it syncs messages; so behind a power cut a consumer may have handed out what is
// there no more, and of what gets the same numbers it would hand out nothing. It is made anew, by one process, and hands out what is there.
//
// Of a server that is alone: in a cluster what is asked may be answered by a copy that is only behind.
import type { ConsumerInfo, JetStream } from './jetstream'
import { hasCause } from './jetstream'
import { ERROR, unavailable } from './failure'
import type { Names } from './names'
import type { Shelf } from './holdings'

/** Who has said that he makes it anew has died, if it is there after this time. */
const PATIENCE_MS = 5_000

export interface OutlivedParts {
  readonly jetstream: JetStream
  readonly names: Names
}

/**
 * Deletes it, if that is what it is; true if it did.
 * @throws TaskError TASKS_UNAVAILABLE another process is about to
 */
export async function deleteOutlived(
  { jetstream, names }: OutlivedParts,
  { stream, consumer }: Shelf,
  { created, delivered }: ConsumerInfo,
): Promise<boolean> {
  if (jetstream.connection.info.cluster !== undefined) return false
  // Asked after the consumer, whose stream only grows.
  const last = (await jetstream.streamInfo(stream))?.state.last_seq
  if (last === undefined || delivered.stream_seq <= last) return false
  const subject = names.outlived(consumer)
  const said = await jetstream.find(names.streams.state, { last_by_subj: subject })
  const isSaid = said !== undefined && Buffer.from(said.data).toString() === created
  if (isSaid && Date.now() - said.at < PATIENCE_MS) throw underWay(consumer)
  try {
    await jetstream.connection.insist(subject, false, () =>
      jetstream.store(subject, Buffer.from(created), said?.sequence ?? 0),
    )
  } catch (error) {
    if (hasCause(error, ERROR.wrongLastSequence)) throw underWay(consumer)
    throw error
  }
  await jetstream.deleteConsumer(stream, consumer)
  return true
}

function underWay(consumer: string): Error {
  return unavailable(consumer, 'another process makes this consumer anew', 'no')
}
