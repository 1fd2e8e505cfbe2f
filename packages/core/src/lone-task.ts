// A lone task goes straight to its queue: no row, no commit. What it has to do with pipelines is here: where its large arguments are,
// and the one-entry pipeline that it becomes when its first attempt has failed.
import { createHash } from 'node:crypto'
import type { Clock } from './clock'
import type { ArgsData } from './definition'
import { TaskError } from './errors'
import { isPlan, isTaskUse, type StepOptions } from './plan'
import { asBuffer } from './record'
import type { RetryData } from './retry'
import { decodeReference, Kind, type Value } from './value'
import type { PackedDefinition } from './wire/packed-definition'
import type { SubmitMessage, Verdict } from './wire/inbox-message'
import type { TaskMessage } from './wire/task-message'

/**
 * A lone task is known as what it becomes when it is tried again: the entry of a pipeline of its own, in a run named after it. So whatever
 * a task can know of itself, its idempotency key first of all, is the same in every attempt; and promoting it twice is submitting one run twice.
 */
export const LONE_PATH = '/0'
export const loneRunOf = (id: string): string => id

const DAY_MS = 24 * 3_600_000
/** No escaped id begins like this: `%` is always followed by two hexadecimal digits. */
const LONE = '%lone/'

/** The task and arguments of a pipeline that is one closed entry. */
export interface LoneEntry {
  readonly task: string
  readonly args: readonly unknown[]
  readonly step: StepOptions
}

/** @throws TaskError TASKS_ARGUMENTS if it is more than one task */
export function loneEntryOf(pipeline: object): LoneEntry {
  const use = isPlan(pipeline) && pipeline.length === 1 && pipeline.whole === undefined ? pipeline.use : undefined
  if (use === undefined || !isTaskUse(use)) {
    throw new TaskError('TASKS_ARGUMENTS', 'enqueue takes one task, like task.send(...); submit runs pipelines')
  }
  if (use.overrides?.pauseAfter === true)
    throw new TaskError('TASKS_ARGUMENTS', 'enqueue: pauseAfter() is for a pipeline; nothing follows a lone task')
  return {
    task: use.task.name,
    args: use.args,
    step: use.overrides === undefined ? use.task.step : { ...use.task.step, ...use.overrides },
  }
}

/** Blobs of lone tasks, by day: dropped when dead letters of that day are gone too. */
export function loneBlobPrefix(clock: Clock, uid: string): string {
  return `${LONE}${String(Math.floor(clock.now() / DAY_MS)).padStart(8, '0')}/${uid}/`
}

/** Dead letters are kept for 7 days, and their arguments with them. */
const LONE_BLOB_DAYS = 8

export function isOldLoneBlob(key: string, clock: Clock): boolean {
  return Number(key.slice(LONE.length, LONE.length + 8)) < Math.floor(clock.now() / DAY_MS) - LONE_BLOB_DAYS
}

/** Names of lone tasks' blobs are whole keys: their task may become a pipeline whose prefix is another. */
export const isLoneBlob = (name: string): boolean => name.startsWith(LONE)

/** The lone task as a pipeline whose entry has failed this often: retries and their delays are the owner's to decide. */
export function promote(
  message: TaskMessage,
  queue: string,
  failure: Value,
  verdict: Verdict,
  retry: RetryData,
): SubmitMessage {
  return {
    type: 'submit',
    id: message.id,
    run: loneRunOf(message.id),
    options: {
      lone: 1,
      ...(message.options.replyTo === undefined ? {} : { replyTo: message.options.replyTo }),
      ...(message.options.meta === undefined ? {} : { meta: message.options.meta }),
      failed: { attempt: message.attempt, verdict },
    },
    definition: loneDefinition(message, queue, retry),
    failure,
  }
}

function loneDefinition({ task, options, args }: TaskMessage, queue: string, retry: RetryData): PackedDefinition {
  const { timeoutMs, priority } = options
  const step = {
    task,
    queue,
    retry,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(priority === undefined ? {} : { priority }),
  }
  const own = argsData(args)
  const page = Buffer.from(JSON.stringify({ v: 1, steps: [step], chain: [own === undefined ? [0] : [0, own]] }))
  return { hash: createHash('sha256').update(page).digest('hex').slice(0, 32), tasks: 1, pages: [page], pageCount: 1 }
}

function argsData(args: Value): ArgsData | undefined {
  if (args.kind === Kind.none) return undefined
  if (args.kind === Kind.reference) {
    const { name, length, crc32 } = decodeReference(args)
    return { ref: [name, length, crc32] }
  }
  // Whether the codec writes text is not known here; bytes that are not UTF-8 do not survive as text.
  const bytes = asBuffer(args.bytes)
  const text = bytes.toString()
  return Buffer.byteLength(text) === bytes.length && Buffer.from(text).equals(bytes)
    ? text
    : { b64: bytes.toString('base64') }
}
