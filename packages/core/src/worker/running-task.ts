// One task that a worker has taken on: its message, and its context. Nothing is made for it that most tasks never use.
import type { Clock } from '../clock'
import type { Codec } from '../codec'
import type { TaskContext, TaskState } from '../context'
import { frameOf, parentFrame, ROOT, splitEntry } from '../engine/paths'
import type { TaskError } from '../errors'
import { eventSend, type SendEventOptions } from '../events/sent-event'
import type { LargeValues } from '../large-values'
import type { Logger } from '../logger'
import { LONE_PATH, loneRunOf } from '../lone-task'
import type { Space } from '../transport'
import type { Value } from '../value'
import type { TaskMessage } from '../wire/task-message'
import { PipelineState } from './pipeline-state'
import type { Finished } from './finished'

const MOST_NOTE = 200
const NO_META: Readonly<Record<string, unknown>> = Object.freeze({})

/** What a worker has for all its tasks. */
export interface Surroundings {
  readonly space: Space
  readonly values: LargeValues
  readonly codec: Codec
  readonly clock: Clock
  readonly logger: Logger
}

export class RunningTask implements TaskContext {
  readonly message: TaskMessage
  readonly timeoutMs: number | undefined
  /** Set when its function is called: its time counts from there. */
  deadline: number | undefined
  readonly #worker: Surroundings
  #controller: AbortController | undefined
  #abortReason: TaskError | undefined
  #note: readonly [fraction: number, text: string] | undefined
  /** What runs now with what this one gave. */
  #next: RunningTask | undefined
  #state: PipelineState | undefined
  #eventsSent = 0

  constructor(message: TaskMessage, timeoutMs: number | undefined, worker: Surroundings) {
    this.message = message
    this.timeoutMs = timeoutMs
    this.#worker = worker
  }

  get state(): TaskState {
    const { codec, values } = this.#worker
    return (this.#state ??= new PipelineState(this.message.state, codec, values.limits.inlineBytes))
  }

  /** How it ended, with this value: what it has set of the state is part of it. */
  finished(value: Value): Finished {
    const state = this.#state?.changes()
    return state === undefined ? { value } : { value, state }
  }

  get taskName(): string {
    return this.message.task
  }

  get taskId(): string {
    return this.message.options.taskId ?? this.message.id + this.#path
  }

  get pipelineId(): string {
    return this.message.id + this.#frame
  }

  get rootId(): string {
    return this.message.id
  }

  get parentId(): string | undefined {
    const frame = this.#frame
    return frame === ROOT ? undefined : this.message.id + parentFrame(frame)
  }

  get #frame(): string {
    const entry = splitEntry(this.#path)
    return entry === undefined ? ROOT : frameOf(entry.chain)
  }

  get run(): string {
    const { id, run } = this.message
    return run || loneRunOf(id)
  }

  get #path(): string {
    return this.message.path || LONE_PATH
  }

  get attempt(): number {
    return this.message.attempt
  }

  now(): number {
    return this.#worker.clock.now()
  }

  get meta(): Readonly<Record<string, unknown>> {
    return this.message.options.meta ?? NO_META
  }

  get traceparent(): string | undefined {
    return this.meta['traceparent'] as string | undefined
  }

  get idempotencyKey(): string {
    return `${this.rootId}:${this.run}:${this.#path}`
  }

  async sendEvent(event: SendEventOptions): Promise<string> {
    const { codec, space, values } = this.#worker
    const { inlineBytes } = values.limits
    const newId = (): string => `${this.idempotencyKey}:${++this.#eventsSent}`
    const { id, send } = eventSend(event, codec, space.partitions, inlineBytes, newId)
    // One that fails fails the task, whose next attempt sends it again under the same id.
    const [outcome] = await space.send([send])
    if (outcome?.ok === false) throw outcome.error
    return id
  }

  progress(fraction: number, note = ''): void {
    this.#note = [Math.min(1, Math.max(0, fraction)), note.slice(0, MOST_NOTE)]
  }

  /** What it has said since this was last asked. */
  takeNote(): readonly [fraction: number, text: string] | undefined {
    const note = this.#next?.takeNote() ?? this.#note
    this.#note = undefined
    return note
  }

  get logger(): Logger {
    return this.#worker.logger
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason)
    }
    return this.#controller.signal
  }

  get isAborted(): boolean {
    return this.#abortReason !== undefined
  }

  abort(reason: TaskError): void {
    this.#abortReason ??= reason
    this.#controller?.abort(this.#abortReason)
    this.#next?.abort(reason)
  }

  goesOnAs(next: RunningTask): void {
    this.#next = next
  }
}
