// The envelope of every event: CloudEvents 1.0, structured JSON. Other systems read it as it is.
import type { Bytes } from '../transport'

/** What every event of ours has. Attributes below the line are extensions, whose names have neither capitals nor signs. */
export interface CloudEvent<Type extends string = string, Data = unknown> {
  readonly specversion: '1.0'
  /** Unique among the events of its `source`: the same event, seen again, has the same id. */
  readonly id: string
  /** `/namespaces/<namespace>`, and behind it `/workers/<worker>` if a worker says it. */
  readonly source: string
  readonly type: Type
  /** What it is about: a pipeline's id, a task's, or the key of an event that somebody sent. */
  readonly subject: string
  readonly time: string
  readonly datacontenttype: 'application/json'
  // ----
  /** The pipeline that it is about. A pipeline that a task returned has an id of its own. */
  readonly pipelineid?: string
  /** The pipeline that was submitted. */
  readonly rootid?: string
  readonly run?: string
  /** Of a pipeline's events: 12 digits, counting from 1 in each submitted run without a gap. */
  readonly sequence?: string
  /** The W3C trace context that its pipeline was submitted with: CloudEvents' extension for distributed tracing. */
  readonly traceparent?: string
  readonly data: Data
}

export const EVENT_TYPES = 'dev.tasks.'

export function sourceOf(namespace: string, worker?: string): string {
  const source = `/namespaces/${encodeURIComponent(namespace)}`
  return worker === undefined ? source : `${source}/workers/${encodeURIComponent(worker)}`
}

/** For an event that is put together by hand: its member `traceparent`, if it has one. */
export function traceMember(meta: Readonly<Record<string, unknown>> | undefined): string {
  const traceparent = meta?.['traceparent']
  return typeof traceparent === 'string' ? `"traceparent":${JSON.stringify(traceparent)},` : ''
}

const SEQUENCE_DIGITS = 12

export function sequenceText(sequence: number): string {
  return String(sequence).padStart(SEQUENCE_DIGITS, '0')
}

// oxlint-disable-next-line no-restricted-globals -- this reads no clock
export const timeText = (ms: number): string => new Date(ms).toISOString()

/** Small enough to be read by the page, large enough that a commit mostly needs one. */
const BATCH_BYTES = 64 * 1024

export interface EventBatch {
  /** A JSON array of events: CloudEvents' batch format. */
  readonly body: Bytes
  readonly events: number
}

/** Bodies for the log. `events` are JSON already. */
export function batchesOf(events: readonly string[], mostBytes: number): readonly EventBatch[] {
  const most = Math.min(BATCH_BYTES, mostBytes)
  const batches: EventBatch[] = []
  let batch: string[] = []
  let bytes = 2
  const close = (): void => {
    if (batch.length > 0) batches.push({ body: Buffer.from(`[${batch.join(',')}]`), events: batch.length })
    batch = []
    bytes = 2
  }
  for (const event of events) {
    const length = Buffer.byteLength(event) + 1
    if (bytes + length > most) close()
    batch.push(event)
    bytes += length
  }
  close()
  return batches
}

/** The events of one body of the log; none of one that is not ours. */
export function eventsOf(body: Bytes): readonly CloudEvent[] {
  try {
    const events: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString())
    return Array.isArray(events) ? (events as CloudEvent[]) : []
  } catch {
    return []
  }
}
