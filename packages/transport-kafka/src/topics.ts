// The topics of one namespace: their names and settings. HOW_IT_WORKS.md draws them.
import type { EventRetention } from '@tasks/core'
import { createHash } from 'node:crypto'
import type { TopicSpec } from './driver'

const HOUR_MS = 3600 * 1000
/** How long messages are kept that nobody waits for any more: replies and broadcasts. */
const FLEETING_MS = 10 * 60 * 1000

/** Kafka counts names that differ in `.` and `_` alone as one, and takes 249 characters. */
const MOST_CHARACTERS = 150

/** Kafka removes whole segments, and compacts none but old ones: what a segment holds is what stays on the disk, and is read by who restores, beyond what is needed. */
const SMALL_SEGMENTS = { 'segment.bytes': String(16 * 1024 * 1024) }
const KEPT = { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1', ...SMALL_SEGMENTS }
const COMPACTED = {
  'cleanup.policy': 'compact',
  ...SMALL_SEGMENTS,
  'segment.ms': String(HOUR_MS),
  'min.cleanable.dirty.ratio': '0.2',
  // Longer than anybody takes to read it from its start.
  'delete.retention.ms': String(HOUR_MS),
}
const FLEETING = { 'cleanup.policy': 'delete', 'retention.ms': String(FLEETING_MS) }
/** The broker's clock: what is decided by the times of records is decided alike by all who read them. */
const BY_BROKER = { 'message.timestamp.type': 'LogAppendTime' }

interface Part {
  readonly partitioned: boolean
  readonly settings: Readonly<Record<string, string>>
}

const PARTS = {
  /** What the namespace was created with: the first record rules. */
  meta: { partitioned: false, settings: KEPT },
  /** Who owns which partition, and who is alive. */
  owners: { partitioned: false, settings: { ...KEPT, ...BY_BROKER } },
  inbox: { partitioned: true, settings: KEPT },
  /** The rows and the position of each partition. */
  changelog: { partitioned: true, settings: COMPACTED },
  /** Tasks that are sent alone, and all that is said of who holds them. No transaction writes here. */
  tasks: { partitioned: true, settings: { ...KEPT, ...BY_BROKER } },
  /** The same for tasks that commits send. */
  dispatch: { partitioned: true, settings: { ...KEPT, ...BY_BROKER } },
  /** Events of commits. */
  events: { partitioned: true, settings: BY_BROKER },
  /** Events that are sent alone. No transaction writes here. */
  notices: { partitioned: true, settings: BY_BROKER },
  /** How far named subscriptions to events have come. */
  subscriptions: { partitioned: false, settings: { ...KEPT, ...BY_BROKER } },
  dead: { partitioned: false, settings: { ...COMPACTED, ...BY_BROKER } },
  blobs: { partitioned: true, settings: COMPACTED },
  /** Which pages of blobs there are, and where. */
  'blob-index': { partitioned: false, settings: { ...COMPACTED, ...BY_BROKER } },
  replies: { partitioned: true, settings: FLEETING },
  signals: { partitioned: false, settings: FLEETING },
} as const satisfies Record<string, Part>

export type PartName = keyof typeof PARTS
export const PART_NAMES = Object.keys(PARTS) as readonly PartName[]

export interface TopicOptions {
  readonly partitions: number
  /** How many replicas must have a record before it counts as stored. */
  readonly least: number
  /** Of events. */
  readonly retention: EventRetention
}

/** What Kafka removes at a time: it keeps up to that much more than it was told to. */
const SEGMENTS = 4
const LEAST_SEGMENT_BYTES = 1024 * 1024

export class Topics {
  readonly #base: string
  readonly #prefix: string

  constructor(prefix: string, namespace: string) {
    this.#prefix = prefix
    this.#base = `${escape(prefix)}.${escape(namespace)}`
  }

  name(part: PartName): string {
    return `${this.#base}.${part}`
  }

  /** The fence of a partition. Its ACL is that of the prefix. */
  transactionalId(partition: number): string {
    return `${this.#base}.${partition}`
  }

  get prefix(): string {
    return this.#prefix
  }

  spec(part: PartName, { partitions, least, retention }: TopicOptions): TopicSpec {
    const { partitioned, settings } = PARTS[part]
    return {
      topic: this.name(part),
      partitions: partitioned ? partitions : 1,
      settings: {
        ...settings,
        ...((part === 'events' || part === 'notices') && kept(retention)),
        // Whatever the broker's own are: what is decompressed here would have to be known here.
        'compression.type': 'producer',
        'unclean.leader.election.enable': 'false',
        'min.insync.replicas': String(least),
      },
    }
  }
}

function kept({ maxAgeMs, maxBytes }: EventRetention): Readonly<Record<string, string>> {
  return {
    'cleanup.policy': 'delete',
    'retention.ms': String(Math.ceil(maxAgeMs)),
    'retention.bytes': String(Math.ceil(maxBytes)),
    'segment.bytes': String(Math.max(LEAST_SEGMENT_BYTES, Math.ceil(maxBytes / SEGMENTS))),
  }
}

function escape(name: string): string {
  const escaped = Array.from(Buffer.from(name), (byte) => {
    const character = String.fromCharCode(byte)
    return /[A-Za-z0-9-]/.test(character) ? character : `_${byte.toString(16).padStart(2, '0').toUpperCase()}`
  }).join('')
  if (escaped.length <= MOST_CHARACTERS / 2) return escaped
  // Long names differ by what they are hashed to.
  return `${escaped.slice(0, MOST_CHARACTERS / 2)}-${createHash('sha256').update(name).digest('hex').slice(0, 24)}`
}
