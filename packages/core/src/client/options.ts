// What callers give a client, checked before any effect: an option that is misspelt or out of range is refused by name, never ignored.
import type { Clock } from '../clock'
import { TaskError } from '../errors'
import { LATEST_MS } from '../engine/row-keys'
import { checkQueueName } from '../ids'
import { badOption, checkFlag, checkKeys, checkMethods, checkMs, checkOptions } from '../option-checks'
import { isPipeline, taskRefOf, type Submittable, type Task } from '../pipeline'

export interface SubmitOptions {
  /** 1-256 UTF-8 bytes without control characters. Default: a new one. Submitting an id again returns the run that exists. */
  readonly id?: string
  /**
   * JSON that travels with the pipeline, and with those that its tasks return: `taskContext().meta`. At most 4 KiB. A `traceparent` in it is the W3C trace
   * context that the tasks go on with: `taskContext().traceparent`.
   */
  readonly meta?: Readonly<Record<string, unknown>>
  /**
   * What to do if the id exists. `return` (default): its run, if the definition is the same, else `TASKS_ID_CONFLICT`. `reject`:
   * `TASKS_ID_EXISTS`. `restart`: a new run; a live one is CANCELLED at once, and its finally does not run. The last two wait for the owner's answer.
   */
  readonly onDuplicate?: 'return' | 'reject' | 'restart'
  /** How long the outcome is kept after the end, in ms. Default 24 h. The id is free again after that. */
  readonly retentionMs?: number
  /** Start after this many ms, durably. */
  readonly delayMs?: number
  /** Start at this time, durably. */
  readonly runAt?: Date | number
}

export interface EnqueueOptions {
  /** Makes it a pipeline of one entry, which can be found again. */
  readonly id?: string
  /** JSON that travels with the task: `taskContext().meta`. At most 4 KiB. */
  readonly meta?: Readonly<Record<string, unknown>>
  /** Start after this many ms, durably: it then has a row, as with `id`. Not with `runAt`. */
  readonly delayMs?: number
  /** Start at this time, durably: it then has a row, as with `id`. */
  readonly runAt?: Date | number
  /** 0 (default) to 9; higher first. */
  readonly priority?: number
  /** Default: that of the task. */
  readonly queue?: string
  /** Keep the result as a pipeline's is kept. */
  readonly keepResult?: boolean
  /** How long it is kept, in ms. Default 24 h. Only with `keepResult`, `id`, `delayMs` or `runAt`: else there is nothing to keep. */
  readonly retentionMs?: number
  /** Ask for a reply, so that `result()` works. Default false. */
  readonly reply?: boolean
}

const META_BYTES = 4 << 10
const MOST_PRIORITY = 9
/** https://www.w3.org/TR/trace-context: later versions may say more behind the flags. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/
const ON_DUPLICATE = ['return', 'reject', 'restart'] as const

const SUBMIT = ['id', 'meta', 'onDuplicate', 'retentionMs', 'delayMs', 'runAt'] as const
const ENQUEUE = ['id', 'meta', 'delayMs', 'runAt', 'priority', 'queue', 'keepResult', 'reply', 'retentionMs'] as const
const ENQUEUE_MANY = ENQUEUE.filter((name) => name !== 'id' && name !== 'reply')

/** The pipeline that is meant by `submit(pipeline, options)` or `submit(task, input, options)`, and the options. */
export function workOf<Options>(
  call: string,
  work: unknown,
  second: unknown,
  third: unknown,
): readonly [Submittable<unknown, never>, Options] {
  if (isPipeline(work)) return [work, optionsOf<Options>(call, second)]
  if (taskRefOf(work) !== undefined)
    return [(work as Task<[unknown], unknown>).send(second), optionsOf<Options>(call, third)]
  const what =
    typeof work === 'function'
      ? `the function ${work.name || '(anonymous)'}: bind it first`
      : work === null
        ? 'null'
        : typeof work
  throw new TaskError('TASKS_ARGUMENTS', `${call}: a task or a pipeline is needed, not ${what}`)
}

/** The first of many: what holds for it holds for all. @throws TaskError TASKS_ARGUMENTS */
export function firstOfMany(task: unknown, inputs: unknown, options: unknown): Submittable<unknown, never> {
  if (isPipeline(task))
    throw new TaskError('TASKS_ARGUMENTS', 'enqueueMany: a task and a list of its inputs are needed, not a pipeline')
  const [first] = workOf('enqueueMany', task, Array.isArray(inputs) ? inputs[0] : undefined, options)
  if (Array.isArray(inputs)) return first
  throw new TaskError('TASKS_ARGUMENTS', `enqueueMany: a list of inputs is needed, not ${typeof inputs}`)
}

function optionsOf<Options>(call: string, given: unknown): Options {
  if (given === undefined) return {} as Options
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw badOption(`${call}: options`, 'an object', given)
  return given as Options
}

/** @throws TaskError TASKS_OPTIONS naming the option and the value */
export function checkSubmit(given: object): void {
  checkKeys('submit', given, SUBMIT)
  const { onDuplicate, retentionMs } = given as { onDuplicate?: unknown; retentionMs?: unknown }
  if (onDuplicate !== undefined && !ON_DUPLICATE.includes(onDuplicate as 'return'))
    throw badOption('onDuplicate', "'return', 'reject' or 'restart'", onDuplicate)
  if (retentionMs !== undefined) checkMs('retentionMs', retentionMs)
}

/** @throws TaskError TASKS_OPTIONS naming the option and the value; TASKS_ID_INVALID for a queue's name */
export function checkEnqueue(given: object): void {
  checkKeys('enqueue', given, ENQUEUE)
  checkLone('enqueue', given)
}

/** @throws as `checkEnqueue` */
export function checkEnqueueMany(given: object): void {
  checkKeys('enqueueMany', given, ENQUEUE_MANY)
  checkLone('enqueueMany', given)
}

/** Whether it is a pipeline of one entry: a row that can be found again, or waits for its time. */
export function isKept({ id, keepResult, delayMs, runAt }: EnqueueOptions): boolean {
  return id !== undefined || keepResult === true || delayMs !== undefined || runAt !== undefined
}

export function checkAnswerMs(answerMs: unknown): void {
  if (answerMs === undefined) return
  checkMs('answerMs', answerMs)
  // Silence for three times as long is asked about again.
  if ((answerMs as number) < 1) throw badOption('answerMs', 'a number of milliseconds of at least 1', answerMs)
}

/** @throws TaskError TASKS_OPTIONS naming the option and the value */
export function checkWait(given: unknown): void {
  checkOptions('result', given, ['timeoutMs', 'signal'])
  const { timeoutMs, signal } = given as { timeoutMs?: unknown; signal?: unknown }
  if (timeoutMs !== undefined) checkMs('timeoutMs', timeoutMs)
  if (signal !== undefined) checkMethods('signal', signal, ['throwIfAborted', 'addEventListener'])
}

function checkLone(call: string, given: object): void {
  const { priority, queue, keepResult, reply, retentionMs } = given as Readonly<Record<string, unknown>>
  if (keepResult !== undefined) checkFlag('keepResult', keepResult)
  if (reply !== undefined) checkFlag('reply', reply)
  if (retentionMs !== undefined) {
    checkMs('retentionMs', retentionMs)
    if (!isKept(given))
      throw new TaskError(
        'TASKS_OPTIONS',
        `${call}: retentionMs is for what is kept: with keepResult, id, delayMs or runAt`,
      )
  }
  if (
    priority !== undefined &&
    !(Number.isInteger(priority) && (priority as number) >= 0 && (priority as number) <= MOST_PRIORITY)
  ) {
    throw badOption('priority', `an integer from 0 to ${MOST_PRIORITY}`, priority)
  }
  if (queue !== undefined) checkQueueName(queue as string)
}

export function checkMeta(meta: unknown): Readonly<Record<string, unknown>> | undefined {
  if (meta === undefined) return undefined
  if (typeof meta !== 'object' || meta === null || Array.isArray(meta))
    throw badOption('meta', 'an object of JSON values', meta)
  let text: string
  try {
    text = JSON.stringify(meta, (key, value: unknown) => {
      // What JSON leaves out or makes null of would not arrive.
      if (
        typeof value === 'function' ||
        typeof value === 'symbol' ||
        (typeof value === 'number' && !Number.isFinite(value))
      )
        throw new TypeError(`${key} is ${String(value)}`)
      return value
    })
  } catch (cause) {
    throw new TaskError('TASKS_OPTIONS', 'meta must be an object of JSON values', { cause })
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > META_BYTES) throw new TaskError('TASKS_OPTIONS', `meta is ${bytes} bytes; the limit is ${META_BYTES}`)
  const { traceparent } = meta as { readonly traceparent?: unknown }
  if (traceparent !== undefined && !(typeof traceparent === 'string' && TRACEPARENT.test(traceparent)))
    throw badOption('meta.traceparent', 'a W3C trace context, like 00-<32 hex digits>-<16 hex digits>-01', traceparent)
  return meta as Readonly<Record<string, unknown>>
}

/** When it is to start, ms since the epoch; undefined: now. */
export function dueOf(
  { delayMs, runAt }: { readonly delayMs?: number; readonly runAt?: Date | number },
  clock: Clock,
): number | undefined {
  if (delayMs !== undefined && runAt !== undefined)
    throw new TaskError('TASKS_OPTIONS', 'give delayMs or runAt, not both')
  if (delayMs !== undefined) {
    checkMs('delayMs', delayMs)
    if (clock.now() + delayMs > LATEST_MS) throw badOption('delayMs', 'a time before the year 5188', delayMs)
    return clock.now() + delayMs
  }
  if (runAt === undefined) return undefined
  if (!(Number(runAt) <= LATEST_MS))
    throw badOption('runAt', 'a Date or ms since the epoch, before the year 5188', runAt)
  return Number(runAt)
}
