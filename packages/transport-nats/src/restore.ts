// What a new owner finds in a partition's journal.
import type { RowKey, Send } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import { unavailable } from './failure'
import type { JetStream, Stored } from './jetstream'
import type { Names } from './names'
import type { Seal, State } from './record'
import { decodeRecord, decodeRows, decodeSends } from './record'
import { readAll } from './reader'
import type { Place, Rows } from './rows'

export interface Restored {
  readonly rows: Rows
  /** What the journal consists of, from the floor on. */
  readonly records: { readonly at: number; readonly bytes: number }[]
  /** Commits whose sends may not have been made. */
  readonly unmade: readonly { readonly seq: number; readonly at: number; readonly sends: readonly Send[] }[]
}

export interface RestoreOptions {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly names: Names
  readonly partition: number
  /** The last record: the claim. */
  readonly state: State
  readonly tail: number
  /** What it goes into. */
  readonly rows: Rows
  /** How long the server may say nothing. */
  readonly patienceMs: number
  /** Nobody wants it any more. */
  readonly signal: AbortSignal
}

/** @throws TaskError TASKS_STORE_CORRUPT, TASKS_STORE_NEWER, TASKS_UNAVAILABLE */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const { names, partition, state, tail, rows } = options
  const records: { at: number; bytes: number }[] = []
  const unmade: { seq: number; at: number; sends: readonly Send[] }[] = []
  /** Of a commit whose seal has not come yet; or will never come. */
  const parts = new Map<number, Buffer>()
  const recordSubject = names.log(partition, 'record')

  const apply = (content: Buffer, seq: number, place: Place): void => {
    const found: [RowKey, Buffer | null][] = []
    const sendsAt = decodeRows(content, (key, value) => found.push([key, value]))
    rows.add(place, found)
    if (seq <= state.relayed) return
    const sends = decodeSends(content, sendsAt)
    if (sends.length > 0) unmade.push({ seq, at: place.at, sends })
  }

  const read = ({ subject, sequence, data }: Stored): boolean => {
    if (subject !== recordSubject) {
      parts.set(sequence, Buffer.from(data.buffer, data.byteOffset, data.byteLength))
      records.push({ at: sequence, bytes: data.byteLength })
      return false
    }
    const where = `record ${sequence} of the journal of partition ${partition}`
    const record = decodeRecord(data, where)
    records.push({ at: sequence, bytes: data.byteLength })
    if (record.kind === 'commit') apply(record.content, record.state.seq, { at: sequence })
    else if (record.kind === 'seal') {
      const sealed = (record.state as Seal).parts
      const slices = sealed.map((part) => parts.get(part))
      const at = Math.min(...sealed)
      if (slices.every((slice) => slice !== undefined))
        apply(decodeRecord(Buffer.concat(slices), where).content, record.state.seq, { at, parts: sealed })
      // Of one that began before the floor nothing is needed any more.
      else if (at >= state.floor) throw new TaskError('TASKS_STORE_CORRUPT', `${where}: a part of it is gone`)
      for (const part of sealed) parts.delete(part)
    }
    return sequence >= tail
  }

  if (state.floor < tail) {
    await readAll(
      {
        ...options,
        stream: names.streams.log,
        filter: names.log(partition, '*'),
        from: state.floor,
        limit: Infinity,
        isEndKnown: true,
      },
      (messages) => options.signal.aborted || messages.some(read),
    )
    if (options.signal.aborted) throw unavailable(`partition ${partition}`, 'it was lost before it was restored', 'no')
  } else records.push({ at: tail, bytes: 0 })
  return { rows, records, unmade }
}
