// Dead letters as people meet them: what could not be read, run or finished, with its reason and its bytes.
import type { Clock } from '../clock'
import type { Codec } from '../codec'
import { decodeArguments } from '../decoding'
import { blobPrefix } from '../engine/row-keys'
import { TaskError } from '../errors'
import { fromFailure, type Failure } from '../failure'
import type { LargeValues } from '../large-values'
import { badOption, checkCount, checkOptions } from '../option-checks'
import { asBuffer } from '../record'
import type { DeadLetter, Send, Space } from '../transport'
import { decodeTask, encodeLoneTask } from '../wire/task-message'

export interface DeadLetterView {
  readonly id: string
  /** When it became one, ms since the epoch. */
  readonly at: number
  /** `undecodable`, `too-large`, `unknown-task`, `failed` or `max-deliveries`. */
  readonly reason: string
  readonly message: string
  /** The queue it was in, or `inbox/<partition>`. */
  readonly source: string
  readonly task: string | undefined
  readonly pipelineId: string | undefined
  /** What its task was to be called with. Only from `get`, and undefined if it cannot be read: it is no task's, or its values are gone. */
  readonly args: readonly unknown[] | undefined
  /** What the task threw, if it is here because it failed. */
  readonly error: TaskError | undefined
  /** The message as it was sent. */
  readonly body: Uint8Array
}

const MOST_LISTED = 10_000

interface ConnectedBox {
  readonly space: Space
  readonly values: LargeValues
}

export class DeadLetterBox {
  readonly #connected: () => Promise<ConnectedBox>
  readonly #codec: Codec
  readonly #clock: Clock

  constructor(connected: () => Promise<ConnectedBox>, codec: Codec, clock: Clock) {
    this.#connected = connected
    this.#codec = codec
    this.#clock = clock
  }

  /**
   * In order of arrival.
   * @param options `limit`: at most so many, 1 to 10 000, default 100; `after`: only those behind this one, the last of the page before
   * @throws TaskError TASKS_OPTIONS
   */
  async list(options: { readonly after?: string; readonly limit?: number } = {}): Promise<readonly DeadLetterView[]> {
    checkOptions('deadLetters.list', options, ['after', 'limit'])
    const { after, limit = 100 } = options
    checkCount('limit', limit, MOST_LISTED)
    if (after !== undefined && typeof after !== 'string') throw badOption('after', 'the id of a dead letter', after)
    const { space } = await this.#connected()
    const letters = await space.dead.list({ limit, ...(after === undefined ? {} : { after }) })
    return letters.map((letter) => viewOf(letter, undefined))
  }

  /** @throws TaskError TASKS_NOT_FOUND */
  async get(id: string): Promise<DeadLetterView> {
    const { space, values } = await this.#connected()
    const letter = await this.#letter(space, id)
    return viewOf(letter, await this.#argumentsOf(letter.body, values))
  }

  async #argumentsOf(body: Uint8Array, values: LargeValues): Promise<readonly unknown[] | undefined> {
    try {
      const { id, run, input, args } = decodeTask(body, '')
      const prefix = run === '' ? '' : blobPrefix(id, run)
      const [upstream, own] = [await values.fetch(prefix, input), await values.fetch(prefix, args)]
      return [...decodeArguments(this.#codec, upstream), ...decodeArguments(this.#codec, own)]
    } catch {
      return undefined
    }
  }

  /**
   * Sends it again, to where it was. Its deliveries count from one.
   * @throws TaskError TASKS_NOT_FOUND; TASKS_UNSUPPORTED for a letter that belongs to a pipeline (its entry has failed: retry the
   *   pipeline) or that cannot be read
   */
  async redrive(id: string): Promise<void> {
    const { space } = await this.#connected()
    const { info, body } = await this.#letter(space, id)
    if (info.pipelineId !== undefined) {
      throw new TaskError(
        'TASKS_UNSUPPORTED',
        `the dead letter "${id}" belongs to the pipeline "${info.pipelineId}", whose entry has failed: retry the pipeline`,
      )
    }
    const inbox = /^inbox\/(\d+)$/.exec(info.source)
    const send =
      inbox === null
        ? this.#loneSend(info.source, body)
        : { id: `${id}.${this.#clock.uid()}`, target: { to: 'inbox' as const, partition: Number(inbox[1]) }, body }
    if (!(await space.dead.redrive(id, send))) throw notFound(id)
  }

  /** As a task of its own: what is remembered of the one that failed must not answer for it. */
  #loneSend(queue: string, body: Uint8Array): Send {
    const message = decodeTask(body, '')
    const { priority } = message.options
    return {
      id: this.#clock.uid(),
      target: { to: 'task', queue, ...(priority === undefined ? {} : { priority }) },
      body: encodeLoneTask({ ...message, sentAt: this.#clock.now() }),
    }
  }

  /** @throws TaskError TASKS_NOT_FOUND */
  async drop(id: string): Promise<void> {
    const { space } = await this.#connected()
    if (!(await space.dead.drop(id))) throw notFound(id)
  }

  async #letter(space: Space, id: string): Promise<DeadLetter> {
    const letter = await space.dead.get(id)
    if (letter === undefined) throw notFound(id)
    return letter
  }
}

function notFound(id: string): TaskError {
  return new TaskError('TASKS_NOT_FOUND', `there is no dead letter "${id}"`)
}

function viewOf({ id, at, info, body }: DeadLetter, args: readonly unknown[] | undefined): DeadLetterView {
  const { reason, message, source, task, pipelineId, failure } = info
  return {
    id,
    at,
    reason,
    message,
    source,
    task,
    pipelineId,
    args,
    error: failure === undefined ? undefined : errorOf(failure),
    body,
  }
}

function errorOf(failure: string): TaskError | undefined {
  try {
    return fromFailure(JSON.parse(asBuffer(Buffer.from(failure)).toString()) as Failure)
  } catch {
    return undefined
  }
}
