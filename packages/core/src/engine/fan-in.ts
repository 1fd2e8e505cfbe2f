// Fan-in, in two halves. `joinResults` reads the results of a group that is complete, a chunk at a time, and joins their bytes without
// decoding them; it does I/O and is run by the owner beside its other work. `groupJoined` is the reducer's half: one step that
// takes the joined value and lets the chain go on.
import type { Bytes, RowKey } from '../transport'
import { FIRST_CAUSES, FrameReader, FrameWriter, failuresValue, isFailure, Kind, type Value } from '../value'
import { groupEnded } from './chains'
import type { Draft } from './draft'
import { deleteGroup } from './groups'
import { CHUNK, chunkOfResults, RunKeys, type GroupRow, type JobRow } from './rows'

export interface Joined {
  readonly value: Value
  readonly failed: boolean
  /** The rows that were read. */
  readonly keys: readonly RowKey[]
}

/** Where the joined bytes go: kept until they are too many for a message, then paged into a blob. */
export interface ValueSink {
  write(bytes: Bytes): Promise<void>
  /** The value, inline or by reference. */
  end(kind: Kind): Promise<Value>
}

export type ScanRows = (
  prefix: string,
  after: RowKey | undefined,
  limit: number,
) => Promise<readonly (readonly [RowKey, Bytes])[]>

const PAGE = 64

export async function joinResults(scan: ScanRows, job: JobRow, group: GroupRow, sink: ValueSink): Promise<Joined> {
  const prefix = new RunKeys(job.id, job.gen).resultsPrefix(job.path)
  const keys: RowKey[] = []
  const causes: Value[] = []
  const failed = group.failed > 0 && !group.returnExceptions
  let slots: Value[] = []
  let chunk = 0

  const flush = async (): Promise<void> => {
    if (failed) {
      for (const value of slots)
        if (value !== undefined && isFailure(value) && causes.length < FIRST_CAUSES) causes.push(value)
    } else {
      const writer = new FrameWriter(4096)
      for (const value of slots) writer.add(value)
      await sink.write(writer.bytes())
    }
    slots = []
  }

  let after: RowKey | undefined
  for (;;) {
    const page = await scan(prefix, after, PAGE)
    for (const [key, bytes] of page) {
      keys.push(key)
      const of = chunkOfResults(key)
      if (of !== chunk) {
        await flush()
        chunk = of
      }
      const reader = new FrameReader(bytes)
      while (!reader.done) {
        const index = reader.number()
        slots[index - chunk * CHUNK] = reader.value()
      }
    }
    if (page.length < PAGE) break
    after = page.at(-1)![0]
  }
  await flush()
  const value = failed ? failuresValue(causes, group.failed, group.size) : await sink.end(Kind.set)
  return { value, failed, keys }
}

/** Lets the group's chain go on with the joined value, and deletes the group's rows. */
export function groupJoined(draft: Draft, job: JobRow, joined: Joined): void {
  const keys = new RunKeys(job.id, job.gen)
  draft.delete(keys.job('fan-in', job.path))
  for (const key of joined.keys) draft.delete(key)
  const run = draft.run(job.id)
  if (run === undefined || run.row.run !== job.run) return
  const group = draft.get<GroupRow>(keys.group(job.path))
  if (group === undefined) return
  deleteGroup(draft, run, job.path, group)
  if (run.row.status === 'RUNNING') groupEnded(draft, run, job.path, joined.value, joined.failed)
}
