// Rows as bytes: records (record.ts) with a version, so that a newer row is refused and not guessed.
import { TaskError } from '../errors'
import { decodeRecord, encodeRecord, type Payload } from '../record'
import type { Bytes, RowKey } from '../transport'
import { NONE, type Kind, type Value } from '../value'
import {
  CHUNK,
  DefinitionPage,
  type Caught,
  type ChainRow,
  type ChunkRow,
  type CommandNote,
  type DefinitionSource,
  type GroupRow,
  type JobRow,
  type KeptEvent,
  type MarkRow,
  type Note,
  type KeptEntry,
  type KeptTree,
  type Phase,
  type PipelineRow,
  type Row,
  type TallyRow,
  type TimerRow,
  type WindowRow,
} from './rows'

const ROW_VERSION = 1

/** The kind letter of a key. */
function kindOf(key: RowKey): string {
  const entity = key[0]!
  if (entity === '@') return 'd'
  if (entity === 'B') return `B${key[key.indexOf('/') + 1] ?? ''}`
  if (entity !== 'P') return entity
  let at = key.indexOf('/') + 1
  while (key.charCodeAt(at) >= 48 && key.charCodeAt(at) <= 57) at++
  return key[at + 1] ?? ''
}

const PHASES: readonly Phase[] = ['sent', 'waiting', 'group', 'frame', 'held', 'failed', 'event']
// In the order of the stored format; new ones go to the end.
const STATUSES = ['RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'PAUSED', 'CANCELLING'] as const

/** What few chains have. */
type Rare = [
  stateLength: number,
  savedKind: Kind,
  savedLength: number,
  savedAt: number,
  savedPhase: number,
  caught: readonly Caught[] | 0,
]

const NOTHING_RARE: Rare = [0, 0, 0, -1, 0, 0]

type ChainHeader = [
  hop: number,
  at: number,
  phase: number,
  attempt: number,
  resends: number,
  since: number,
  kind: Kind,
  length: number,
  definition: DefinitionSource | 0,
  rare?: Rare | 0,
  trail?: string,
]

type TreeHeader = [
  hops: number,
  at: number,
  trail: string | 0,
  caught: readonly Caught[],
  entries: readonly KeptEntry[],
  count: number,
  last?: string,
]

function chainHeader(row: ChainRow): ChainHeader {
  const { hop, at, phase, attempt, resends, since, input, definition, state, saved, caught, trail } = row
  const header: ChainHeader = [
    hop,
    at,
    PHASES.indexOf(phase),
    attempt,
    resends,
    since,
    input.kind,
    input.bytes.length,
    definition ?? 0,
  ]
  if (state !== undefined || saved !== undefined || caught !== undefined) {
    const { value, at: savedAt, phase: savedPhase } = saved ?? { value: NONE, at: -1, phase: 'sent' }
    header.push([state?.length ?? 0, value.kind, value.bytes.length, savedAt, PHASES.indexOf(savedPhase), caught ?? 0])
  } else if (trail !== undefined) header.push(0)
  if (trail !== undefined) header.push(trail)
  return header
}

function treeHeader({ hops, at, trail, caught, entries, count, finally: last }: KeptTree): TreeHeader {
  const header: TreeHeader = [hops, at, trail ?? 0, caught, entries, count]
  if (last !== undefined) header.push(last)
  return header
}

function treeOf([hops, at, trail, caught, entries, count, last]: TreeHeader): KeptTree {
  return { hops, at, trail: trail === 0 ? undefined : trail, caught, entries, count, finally: last }
}

function chainParts({ input, state, saved }: ChainRow): Bytes[] {
  const parts = [input.bytes]
  if (state !== undefined) parts.push(state)
  if (saved !== undefined) parts.push(saved.value.bytes)
  return parts
}

function chainOf(header: ChainHeader, payload: Payload): ChainRow {
  const [hop, at, phase, attempt, resends, since, kind, length, definition, rare, trail] = header
  const input = valueOf(kind, length, payload)
  const [stateLength, savedKind, savedLength, savedAt, savedPhase, caught] = rare || NOTHING_RARE
  const state = stateLength === 0 ? undefined : payload.take(stateLength)
  const saved =
    savedAt < 0
      ? undefined
      : { value: valueOf(savedKind, savedLength, payload), at: savedAt, phase: PHASES[savedPhase]! }
  return {
    hop,
    at,
    phase: PHASES[phase]!,
    attempt,
    resends,
    since,
    input,
    definition: definition === 0 ? undefined : definition,
    state,
    saved,
    caught: caught === 0 ? undefined : caught,
    trail,
  }
}

const valueOf = (kind: Kind, length: number, payload: Payload): Value =>
  kind === 0 ? NONE : { kind, bytes: payload.take(length) }

export function encodeRow(key: RowKey, row: Row): Bytes {
  switch (kindOf(key)) {
    case 'M': {
      const r = row as PipelineRow
      return encodeRecord(
        [
          ROW_VERSION,
          r.id,
          r.run,
          r.name,
          r.gen,
          STATUSES.indexOf(r.status),
          r.hash,
          r.createdAt,
          r.finishedAt,
          r.retentionMs,
          r.meta ?? 0,
          r.replyTo ?? 0,
          r.lone ? 1 : 0,
          r.tasks,
          r.done,
          r.attempts,
          r.out,
          r.finals,
          (r.litter ? 1 : 0) + (r.finishing ? 2 : 0) + (r.leaving ? 4 : 0),
          r.commands ?? 0,
          r.notes ?? 0,
          r.outcome.kind,
          r.outcome.bytes.length,
          r.chain === undefined ? 0 : chainHeader(r.chain),
          ...(r.earlier === undefined &&
          r.events === 0 &&
          r.waits === 0 &&
          r.taken === undefined &&
          r.tree === undefined
            ? []
            : [r.earlier ?? 0, r.events, r.waits, r.taken ?? 0, r.tree === undefined ? 0 : treeHeader(r.tree)]),
        ],
        r.chain === undefined ? [r.outcome.bytes] : [r.outcome.bytes, ...chainParts(r.chain)],
      )
    }
    case 'c': {
      const r = row as ChainRow
      return encodeRecord([ROW_VERSION, ...chainHeader(r)], chainParts(r))
    }
    case 'd':
      return (row as DefinitionPage).bytes
    case 'g': {
      const r = row as GroupRow
      return encodeRecord(
        [
          ROW_VERSION,
          r.size,
          r.next,
          r.ended,
          r.failed,
          r.returnExceptions ? 1 : 0,
          r.most,
          (r.unordered ? 1 : 0) + (r.reopening ? 2 : 0),
          r.input.kind,
          r.input.bytes.length,
          r.state?.length ?? 0,
        ],
        r.state === undefined ? [r.input.bytes] : [r.input.bytes, r.state],
      )
    }
    case 'b': {
      const r = row as ChunkRow
      return Buffer.concat([r.ended, r.live])
    }
    case 'Bk': {
      const { value, ...rest } = row as KeptEvent
      return encodeRecord([ROW_VERSION, rest, value.kind, value.bytes.length], [value.bytes])
    }
    case 'Bm':
    case 'Bw':
    case 'Bi':
    case 'w':
    case 'N':
    case 'h':
    case 'f':
    case 'T':
    case 'W':
    case 'X':
      return encodeRecord([ROW_VERSION, row])
    default:
      throw new TaskError('TASKS_UNDECODABLE', `no row has the key ${JSON.stringify(key)}`)
  }
}

export function decodeRow(key: RowKey, bytes: Bytes): Row {
  const letter = kindOf(key)
  if (letter === 'd') return new DefinitionPage(bytes)
  if (letter === 'b')
    return { ended: Uint8Array.from(bytes.subarray(0, CHUNK / 8)), live: Uint8Array.from(bytes.subarray(CHUNK / 8)) }
  const { header, payload } = decodeRecord(bytes)
  if (header[0] !== ROW_VERSION) {
    throw new TaskError(
      'TASKS_STORE_NEWER',
      `the row ${JSON.stringify(key)} has version ${JSON.stringify(header[0])}; this version reads ${ROW_VERSION}`,
    )
  }
  switch (letter) {
    case 'M': {
      const [
        ,
        id,
        run,
        name,
        gen,
        status,
        hash,
        createdAt,
        finishedAt,
        retentionMs,
        meta,
        replyTo,
        lone,
        tasks,
        done,
        attempts,
        out,
        finals,
        flags,
        commands,
        notes,
        kind,
        length,
        chain,
        earlier,
        events,
        waits,
        taken,
        tree,
      ] = header as [
        number,
        string,
        string,
        string,
        number,
        number,
        string,
        number,
        number,
        number,
        Record<string, unknown> | 0,
        string | 0,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        readonly CommandNote[] | 0,
        Readonly<Record<string, Note>> | 0,
        Kind,
        number,
        ChainHeader | 0,
        (readonly string[] | 0)?,
        number?,
        number?,
        (readonly string[] | 0)?,
        (TreeHeader | 0)?,
      ]
      const outcome = valueOf(kind, length, payload)
      return {
        id,
        run,
        name,
        earlier: earlier === 0 ? undefined : earlier,
        gen,
        status: STATUSES[status]!,
        hash,
        createdAt,
        finishedAt,
        retentionMs,
        meta: meta === 0 ? undefined : meta,
        replyTo: replyTo === 0 ? undefined : replyTo,
        lone: lone === 1,
        tasks,
        done,
        attempts,
        out,
        finals,
        litter: (flags & 1) !== 0,
        finishing: (flags & 2) !== 0,
        leaving: (flags & 4) !== 0,
        commands: commands === 0 ? undefined : commands,
        events: events ?? 0,
        waits: waits ?? 0,
        taken: taken === 0 ? undefined : taken,
        tree: tree === 0 || tree === undefined ? undefined : treeOf(tree),
        outcome,
        notes: notes === 0 ? undefined : notes,
        chain: chain === 0 ? undefined : chainOf(chain, payload),
      }
    }
    case 'c':
      return chainOf(header.slice(1) as unknown as ChainHeader, payload)
    case 'g': {
      const [, size, next, ended, failed, returnExceptions, most, flags, kind, length, stateLength] = header as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        Kind,
        number,
        number,
      ]
      return {
        size,
        next,
        ended,
        failed,
        returnExceptions: returnExceptions === 1,
        most,
        unordered: (flags & 1) !== 0,
        reopening: (flags & 2) !== 0,
        input: valueOf(kind, length, payload),
        state: stateLength === 0 ? undefined : payload.take(stateLength),
      }
    }
    case 'Bk': {
      const [, rest, kind, length] = header as [number, Omit<KeptEvent, 'value'>, Kind, number]
      return { ...rest, value: valueOf(kind, length, payload) }
    }
    default:
      return header[1] as TallyRow | MarkRow | TimerRow | WindowRow | JobRow
  }
}
