// A namespace is a handful of streams, and one record that says its format and how many partitions it has. Who opens it first makes them, in any
// number of processes at once; who may not, or finds them other than they have to be, is told what differs.
import type { EventRetention, OpenOptions } from '@tasks/core'
import { sleep, TaskError } from '@tasks/core/adapter'
import { ERROR, isForbidden } from './failure'
import type { JetStream, StreamConfig } from './jetstream'
import { hasCause, NANOS } from './jetstream'
import { DEFAULT_PARTITIONS, MAX_PARTITIONS } from './limits'
import type { Names } from './names'
import type { Kind } from './settings'
import { checkStream, STREAM_SETTINGS } from './settings'

/** Of everything in a namespace's streams. A newer one is refused. */
const FORMAT = 1

const KINDS = Object.keys(STREAM_SETTINGS) as Kind[]

const CREATE_TRIES = 10
const CREATE_AGAIN_MS = 50

/** The server takes no shorter one. */
const LEAST_AGE_MS = 100

export interface Opened {
  readonly partitions: number
  readonly streams: readonly StreamConfig[]
}

export async function openNamespace(
  jetstream: JetStream,
  names: Names,
  { namespace, partitions, provision }: OpenOptions,
  replicas: number,
  retention: EventRetention,
): Promise<Opened> {
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS)) {
    throw new TaskError(
      'TASKS_OPTIONS',
      `partitions must be a whole number from 1 to ${MAX_PARTITIONS}, not ${partitions}`,
    )
  }
  let meta = await readMeta(jetstream, names)
  if (meta === undefined) {
    if (provision === 'verify')
      throw new TaskError(
        'TASKS_NOT_FOUND',
        `there is no namespace "${namespace}" on this server, and it is not to be created`,
      )
    await Promise.all(KINDS.map((kind) => createStream(jetstream, names, kind, replicas, retention)))
    await writeMeta(jetstream, names, partitions ?? DEFAULT_PARTITIONS)
    meta = await readMeta(jetstream, names)
  }
  const { format = NaN, partitions: stored = NaN } = meta ?? {}
  if (!(Number.isInteger(format) && Number.isInteger(stored) && format >= 1 && stored >= 1))
    throw foreign(names.streams.state)
  if (format > FORMAT) {
    throw new TaskError(
      'TASKS_STORE_NEWER',
      `namespace "${namespace}" has format ${format}, and this version of @tasks/transport-nats reads up to ${FORMAT}; upgrade the package`,
      { details: { format, readable: FORMAT } },
    )
  }
  if (partitions !== undefined && partitions !== stored) {
    throw new TaskError(
      'TASKS_PARTITIONS_MISMATCH',
      `namespace "${namespace}" has ${stored} partitions, not ${partitions}; the number is fixed when it is created`,
      { details: { stored, asked: partitions } },
    )
  }
  const streams = await Promise.all(
    KINDS.map(async (kind) => {
      const info = await jetstream.streamInfo(names.streams[kind])
      if (info === undefined)
        throw new TaskError('TASKS_STORE_CORRUPT', `stream ${names.streams[kind]} of namespace "${namespace}" is gone`)
      checkStream(info, kind, names)
      return info.config
    }),
  )
  return { partitions: stored, streams }
}

interface Meta {
  readonly format?: number
  readonly partitions?: number
}

async function readMeta(jetstream: JetStream, names: Names): Promise<Meta | undefined> {
  const info = await jetstream.streamInfo(names.streams.state)
  // One that has nothing is perhaps not made yet: see `untilThere`.
  if (info === undefined || info.state.last_seq === 0) return undefined
  const found = await jetstream.find(names.streams.state, { last_by_subj: names.meta })
  if (found === undefined) return undefined
  try {
    return JSON.parse(Buffer.from(found.data).toString()) as Meta
  } catch {
    return {}
  }
}

/** The first one is kept. */
async function writeMeta(jetstream: JetStream, names: Names, partitions: number): Promise<void> {
  const meta = Buffer.from(JSON.stringify({ format: FORMAT, partitions }))
  const { connection } = jetstream
  try {
    await connection.insist('create the namespace', true, () => jetstream.store(names.meta, meta, 0))
  } catch (error) {
    if (!hasCause(error, ERROR.wrongLastSequence)) throw error
  }
}

async function createStream(
  jetstream: JetStream,
  names: Names,
  kind: Kind,
  replicas: number,
  { maxAgeMs, maxBytes }: EventRetention,
): Promise<void> {
  const name = names.streams[kind]
  for (let tries = 1; ; tries++) {
    try {
      await jetstream.createStream({
        name,
        subjects: [names.subjectsOf(kind)],
        retention: 'limits',
        storage: 'file',
        num_replicas: replicas,
        allow_direct: true,
        ...STREAM_SETTINGS[kind],
        ...(kind === 'event' && { max_age: Math.max(LEAST_AGE_MS, maxAgeMs) * NANOS, max_bytes: maxBytes }),
      })
      break
    } catch (error) {
      if (hasCause(error, ERROR.streamNameInUse)) throw foreign(name, error)
      // A server that is just making this stream for another process takes its subjects for another's.
      if (!hasCause(error, ERROR.streamSubjectsOverlap) || tries === CREATE_TRIES) throw error
      await sleep(jetstream.connection.clock, CREATE_AGAIN_MS)
    }
  }
  await jetstream.untilThere(name).catch((error: unknown) => {
    // Who may only create streams reads from none of them.
    if (!isForbidden(error)) throw error
  })
}

function foreign(stream: string, cause?: unknown): TaskError {
  return new TaskError(
    'TASKS_STORE_FOREIGN',
    `the stream ${stream} belongs to another program, or was made with other settings; choose another prefix`,
    { cause },
  )
}
