// Fan-in, in two halves. `joinResults` reads the results of a group that is complete, a chunk at a time, and joins their bytes without
// decoding them; it does I/O and is run by the owner beside its other work. `groupJoined` is the reducer's half: one step that
// takes the joined value and lets the chain go on.
import { TaskError } from '../errors'
import { StateMerge, type State } from '../state'
import type { Bytes, RowKey } from '../transport'
import {
  failuresValue,
  failureValue,
  FIRST_CAUSES,
  FrameReader,
  FrameWriter,
  isFailure,
  Kind,
  type Cause,
  type Part,
  type Value,
} from '../value'
import { groupEnded } from './chains'
import type { Draft } from './draft'
import { deleteGroup } from './groups'
import { chunkOfResults, RunKeys } from './row-keys'
import { CHUNK, isOver, type GroupRow, type JobRow } from './rows'

export interface Joined {
  readonly value: Value
  readonly failed: boolean
  /** What its chains have set of the pipeline's state. */
  readonly state: State
  /** The rows that were read: those that one commit can delete. */
  readonly keys: readonly RowKey[]
  /** There are more, to be deleted in steps. */
  readonly more: boolean
}

/** Where the joined bytes go: kept until they are too many for a message, then paged into a blob. */
export interface ValueSink {
  write(bytes: Bytes): Promise<void>
  /** The value, inline or by reference. */
  end(kind: Kind): Promise<Value>
  /** Nothing of it is wanted. */
  discard(): Promise<void>
}

export interface JoinLimits {
  /** The most rows that one commit deletes. */
  readonly keys: number
  /** The most bytes of causes that a failure carries. */
  readonly causeBytes: number
  /** The most bytes that its chains may have set of the pipeline's state, together. */
  readonly stateBytes: number
}

export type ScanRows = (
  prefix: string,
  after: RowKey | undefined,
  limit: number,
) => Promise<readonly (readonly [RowKey, Bytes])[]>

const PAGE = 64

export async function joinResults(
  scan: ScanRows,
  job: JobRow,
  group: GroupRow,
  sink: ValueSink,
  limits: JoinLimits,
): Promise<Joined> {
  const prefix = new RunKeys(job.id, job.gen).resultsPrefix(job.path)
  const keys: RowKey[] = []
  const failed = group.failed > 0 && !group.returnExceptions
  let causes: Cause[] = []
  const states = new StateMerge()
  let refusal: TaskError | undefined
  let more = false
  let slots: Part[] = []
  let chunk = 0

  const write = async (bytes: Bytes): Promise<void> => {
    try {
      await sink.write(bytes)
    } catch (error) {
      if (!TaskError.is(error) || error.code !== 'TASKS_VALUE_TOO_LARGE') throw error
      // It will not become smaller: the group has failed.
      refusal = error
    }
  }

  const flush = async (): Promise<void> => {
    if (failed) causes = firstOf(causes)
    else if (refusal === undefined && slots.length > 0) {
      const writer = new FrameWriter(4096)
      for (const part of slots) writer.addPart(part)
      await write(writer.bytes())
    }
    slots = []
  }

  let after: RowKey | undefined
  for (;;) {
    const page = await scan(prefix, after, PAGE)
    for (const [key, bytes] of page) {
      if (keys.length < limits.keys) keys.push(key)
      else more = true
      const of = chunkOfResults(key)
      if (of !== chunk) {
        await flush()
        chunk = of
      }
      const reader = new FrameReader(bytes)
      while (!reader.done) {
        const index = reader.number()
        if (failed) {
          const value = reader.value()
          if (isFailure(value)) causes.push({ index, failure: value })
        } else if (reader.kind === Kind.state) states.add(reader.value().bytes)
        else if (group.unordered) slots.push(reader.part())
        else slots[index - chunk * CHUNK] = reader.part()
      }
    }
    // Those of an unordered group are in the order that is wanted: nothing of them need be kept.
    if (group.unordered) await flush()
    if (page.length < PAGE) break
    after = page.at(-1)![0]
  }
  await flush()
  let state: State
  try {
    state = failed ? undefined : states.result(limits.stateBytes)
  } catch (error) {
    if (!TaskError.is(error)) throw error
    refusal ??= error
  }
  if (refusal !== undefined) {
    await sink.discard()
    const { code, name, message } = refusal
    return { value: failureValue({ code, name, message }), failed: true, state: undefined, keys, more }
  }
  return {
    value: failed
      ? failuresValue(within(limits.causeBytes, causes), group.failed, group.size)
      : await sink.end(Kind.set),
    failed,
    state,
    keys,
    more,
  }
}

/** In the order of the chains. */
const firstOf = (causes: Cause[]): Cause[] => causes.sort((a, b) => a.index - b.index).slice(0, FIRST_CAUSES)

/** As many as there is room for; the first however large it is: it was stored as a value already. */
function within(mostBytes: number, causes: readonly Cause[]): readonly Cause[] {
  let bytes = 0
  return causes.filter(({ failure }, at) => (bytes += failure.bytes.length) <= mostBytes || at === 0)
}

/** Lets the group's chain go on with the joined value, and deletes the group's rows. */
export function groupJoined(draft: Draft, job: JobRow, joined: Joined): void {
  draft.endJob(job)
  const run = draft.runOf(job)
  const group = run && draft.get<GroupRow>(run.keys.group(job.path))
  if (run === undefined || group === undefined || isOver(run.row.status)) return
  const { value, failed, state } = joined
  // What is cancelled goes on no more; what it has left goes when the run ends.
  const isDone = run.row.status !== 'CANCELLING' && groupEnded(draft, run, job.path, value, failed, state)
  if (!isDone) {
    run.row.litter = true
    return
  }
  deleteGroup(draft, run, job.path, group)
  for (const key of joined.keys) draft.delete(key)
  if (joined.more) draft.startJob(run, { kind: 'clean', path: job.path, whole: false, blobs: false })
}
