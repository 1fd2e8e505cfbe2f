// Submits pipelines, enqueues lone tasks, and asks about them: from any process that reaches the transport.
import { systemClock, type Clock } from '../clock'
import type { Codec } from '../codec'
import { connect, connectOptionsOf, type Connection, type ConnectOptions } from '../connect'
import { decodeFailure, decodeValue } from '../decoding'
import type { PipelineDescription } from '../engine/describe'
import type { PipelineStatus } from '../engine/queries'
import type { ReturnedPipeline } from '../engine/returned-pipelines'
import { ownerHere } from '../engine/owners-here'
import { decodeRow } from '../engine/row-codec'
import { blobPrefix, pipelineKey } from '../engine/row-keys'
import { isOver, type PipelineRow } from '../engine/rows'
import { noPipeline, TaskError } from '../errors'
import { checkId, checkNamespace, partitionOf } from '../ids'
import { jsonCodec } from '../json-codec'
import { LargeValues } from '../large-values'
import { stderrLogger, type Logger } from '../logger'
import { loneEntryOf } from '../lone-task'
import { checkKeys, checkOptions, checkParts, checkTransport } from '../option-checks'
import { packPipeline } from '../packing'
import type { Flat, Pipeline, Submittable, Task } from '../pipeline'
import type { Plain } from '../passing'
import type { Tasks } from '../tasks'
import type { Send, Space, Transport } from '../transport'
import { isFailure } from '../value'
import {
  encodeInbox,
  type Command,
  type MeantRun,
  type SubmitMessage,
  type SubmitOptions as WireOptions,
} from '../wire/inbox-message'
import { openEventStream, type EventItem, type EventStream } from '../events/event-stream'
import { eventSend, type SendEventOptions } from '../events/sent-event'
import { giveCommand, type CancelOptions, type Obeyed } from './commands'
import { DeadLetterBox } from './dead-letter-box'
import { inParts } from './enqueue-many'
import type { PipelineHandle, Progress, TaskHandle, WaitOptions } from './handle'
import {
  checkAnswerMs,
  checkEnqueue,
  checkEnqueueMany,
  checkMeta,
  checkSubmit,
  checkWait,
  dueOf,
  firstOfMany,
  isKept,
  workOf,
  type EnqueueOptions,
  type SubmitOptions,
} from './options'
import { LoneSends } from './lone-sends'
import { Questions, type DescribeOptions, type ListOptions, type Owners, type PipelineList } from './questions'
import { Replies, type Ended, type RunRef } from './replies'
import { Sender } from './sender'
import { handled, subscribeSettings, type SubscribeOptions, type Subscription } from './subscriptions'

export interface ClientOptions {
  /** A URL, or a transport made by hand (which stays open when the client closes). Default: `TASKS_URL`, else that of `tasks.config.*`. */
  readonly transport?: string | Transport
  /** For a URL: adapters for further schemes, or in place of the published ones. */
  readonly adapters?: ConnectOptions['adapters']
  readonly namespace: string
  /** If given, what is submitted must use tasks of this registry only. */
  readonly tasks?: Tasks
  readonly codec?: Codec
  readonly logger?: Logger
  readonly clock?: Clock
  /** How long an owner may take to answer a question, in ms. Default 5 000. After three times as long in silence a result is asked for again. */
  readonly answerMs?: number
}

export interface Client {
  readonly namespace: string
  /** Submits a task with one argument as a pipeline of one entry; tasks with more: `submit(task.send(a, b))`. */
  submit<In, Result>(
    task: Task<[In], Result>,
    input: NoInfer<In>,
    options?: SubmitOptions,
  ): Promise<PipelineHandle<Plain<Flat<Result>>>>
  /**
   * Submits a pipeline. Resolves when its message is durable: a worker may be up or not.
   * @throws TaskError TASKS_DEFINITION_INVALID, TASKS_DEFINITION_TOO_LARGE, TASKS_UNENCODABLE, TASKS_ID_INVALID before anything is sent; TASKS_UNAVAILABLE
   */
  submit<Out>(pipeline: Submittable<Out, void>, options?: SubmitOptions): Promise<PipelineHandle<Plain<Out>>>
  /** A handle for what another process has submitted. */
  attach<Out = unknown>(id: string): PipelineHandle<Out>
  /** Sends a task to its queue: one message, no row. It runs at least once; one that fails for good becomes a dead letter. */
  enqueue<In, Result>(
    task: Task<[In], Result>,
    input: NoInfer<In>,
    options?: EnqueueOptions,
  ): Promise<TaskHandle<Plain<Flat<Result>>>>
  enqueue<Out>(entry: Pipeline<Out, void>, options?: EnqueueOptions): Promise<TaskHandle<Plain<Out>>>
  /**
   * Many lone tasks in few calls. Returns their ids, in the order of the inputs.
   * @throws TaskError as `submit`. If some have been sent by then, `error.details.ids` has the id of each input, or null for those that were not
   *   sent, or of which nobody knows; inputs behind its end were not tried
   */
  enqueueMany<In>(
    task: Task<[In], unknown>,
    inputs: readonly In[],
    options?: Omit<EnqueueOptions, 'id' | 'reply'>,
  ): Promise<readonly string[]>
  /** Where a pipeline stands; undefined if there is none. */
  status(id: string): Promise<PipelineStatus | undefined>
  /** Where each of its entries stands; undefined if there is no such pipeline. Costs more than `status`, and is bounded: large groups are told in part. */
  describe(id: string, options?: DescribeOptions): Promise<PipelineDescription | undefined>
  /**
   * Nothing more of it starts until it is resumed; what runs goes on, and timers go on running.
   * @throws TaskError TASKS_STATUS naming both statuses, TASKS_NOT_FOUND, TASKS_UNAVAILABLE if no owner answers: it may take effect later
   */
  pause(id: string): Promise<void>
  /** What became due while it was paused starts. Throws as `pause`. */
  resume(id: string): Promise<void>
  /**
   * Nothing more of it starts; tasks that run see their signal aborted and are waited for up to `graceMs`, then its finally runs. Resolves when it is
   * CANCELLING; `result()` rejects with TASKS_CANCELLED when it is CANCELLED. Throws as `pause`.
   */
  cancel(id: string, options?: CancelOptions): Promise<void>
  /** Runs a failed pipeline again from the tasks that failed; results that are there are kept. Returns the handle of the new run. Throws as `pause`. */
  retry<Out = unknown>(id: string): Promise<PipelineHandle<Out>>
  /** Forgets a pipeline that has ended, with its values; its id is free again. Throws as `pause`. */
  delete(id: string): Promise<void>
  /** The pipelines of the namespace, in order of their ids. */
  list(options?: ListOptions & { readonly children?: false }): Promise<PipelineList>
  /** With `children: true`, also those that their tasks have returned: they have a `rootId`. */
  list(options: ListOptions): Promise<PipelineList<PipelineStatus | ReturnedPipeline>>
  /** Asks the owner of every partition for a sign of life. None answers if no worker is up. */
  owners(): Promise<Owners>
  /**
   * Sends an event to a pipeline, or to whoever waits for its key in the namespace (`waitForEvent`). Resolves when it is durable. Wakes all who wait for it by then; else it is
   * kept, and taken by the first who does.
   * @returns the event's id
   * @throws TaskError TASKS_OPTIONS, TASKS_ID_INVALID, TASKS_UNENCODABLE, TASKS_VALUE_TOO_LARGE; TASKS_UNAVAILABLE
   */
  sendEvent(event: SendEventOptions): Promise<string>
  /**
   * What happens in the namespace: what is kept, and what comes. Resolves when the place where it begins is known; then read it with
   * `for await`, as fast or as slowly as you like.
   * @throws TaskError TASKS_OPTIONS, TASKS_ARGUMENTS for a position that is none; TASKS_UNAVAILABLE
   */
  subscribe(options?: SubscribeOptions): Promise<EventStream>
  /** The same, in batches, to a function that is awaited. One that throws ends it, or, of a named subscription, is called again. */
  subscribe(options: SubscribeOptions, handler: (batch: readonly EventItem[]) => unknown): Promise<Subscription>
  /** Forgets a named subscription, when none of its members is left. */
  unsubscribe(name: string): Promise<void>
  /** What could not be processed, of the namespace. */
  readonly deadLetters: DeadLetterBox
  /**
   * Ends what still waits with TASKS_CLOSED; what was submitted goes on. Closes the transport too, unless that was given as an object. A second call does
   * nothing.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const CLIENT_OPTIONS = ['transport', 'adapters', 'namespace', 'tasks', 'codec', 'logger', 'clock', 'answerMs']

/**
 * A client connects when it is first used.
 * @throws TaskError TASKS_OPTIONS, TASKS_ID_INVALID for a bad namespace
 */
export function createClient(options: ClientOptions): Client {
  if (typeof options !== 'object' || options === null)
    throw new TaskError('TASKS_OPTIONS', 'createClient needs options, like { namespace }')
  checkKeys('createClient', options, CLIENT_OPTIONS)
  checkTransport(options.transport)
  checkParts(options)
  checkAnswerMs(options.answerMs)
  const { namespace, tasks } = options
  if (tasks !== undefined && tasks.namespace !== namespace)
    throw new TaskError(
      'TASKS_OPTIONS',
      `the tasks are those of namespace "${tasks.namespace}", the client's is "${namespace}"`,
    )
  return new ConnectedClient(options)
}

interface Connected {
  readonly connection: Connection
  readonly space: Space
  readonly values: LargeValues
  readonly replies: Replies
  readonly sender: Sender
  readonly lone: LoneSends
}

class ConnectedClient implements Client {
  readonly namespace: string
  readonly deadLetters: DeadLetterBox
  readonly #questions: Questions
  readonly #options: ClientOptions
  readonly #clock: Clock
  readonly #codec: Codec
  readonly #logger: Logger
  readonly #answerMs: number
  #connected: Promise<Connected> | undefined
  #closed = false

  constructor(options: ClientOptions) {
    this.namespace = checkNamespace(options.namespace)
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#codec = options.codec ?? jsonCodec()
    this.#logger = options.logger ?? stderrLogger()
    this.#answerMs = options.answerMs ?? 5_000
    this.#questions = new Questions(() => this.#connect(), this.#clock, this.#answerMs)
    this.deadLetters = new DeadLetterBox(() => this.#connect(), this.#codec, this.#clock)
  }

  #connect(): Promise<Connected> {
    if (this.#closed) return Promise.reject(new TaskError('TASKS_CLOSED', 'the client was closed'))
    this.#connected ??= this.#open().catch((error: unknown) => {
      this.#connected = undefined
      throw error
    })
    return this.#connected
  }

  async #open(): Promise<Connected> {
    const connection = await connect(
      this.#options.transport,
      connectOptionsOf(this.#options.adapters, this.#clock, this.#logger),
    )
    try {
      const space = await connection.transport.open({ namespace: this.namespace })
      const values = new LargeValues(space, this.#clock)
      return {
        connection,
        space,
        values,
        lone: new LoneSends(values, this.#codec, this.#clock),
        replies: new Replies(space, this.#clock, this.#logger, 3 * this.#answerMs),
        sender: new Sender(space, this.#clock),
      }
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  // ---- Pipelines ----------------------------------------------------------------------------------------------------

  async submit(
    work: Task<[unknown], unknown> | Submittable<unknown, never>,
    second?: unknown,
    third?: SubmitOptions,
  ): Promise<PipelineHandle<never>> {
    const [pipeline, options] = workOf<SubmitOptions>('submit', work, second, third)
    checkSubmit(options)
    this.#options.tasks?.assertKnows(pipeline)
    if (options.id !== undefined) {
      const id = checkId('pipeline id', options.id)
      return this.#submit({ id, run: this.#clock.uid() }, pipeline, options)
    }
    // A run that is named as its pipeline tells the owner that the id was drawn: most likely there is nothing of that name to be looked at.
    const id = this.#clock.uid()
    return this.#submit({ id, run: id }, pipeline, options)
  }

  async #submit(
    { id, run }: { readonly id: string; readonly run: string },
    pipeline: Submittable<unknown, never>,
    options: SubmitOptions,
  ): Promise<PipelineHandle<never>> {
    const meta = checkMeta(options.meta)
    const runAt = dueOf(options, this.#clock)
    const { connection, space, values, replies, sender } = await this.#connect()
    const definition = await packPipeline(pipeline, this.#codec, space, values, blobPrefix(id, run))
    if (options.id !== undefined) await this.#checkConflict(space, id, definition.hash, options)
    const replyTo = await replies.address()
    const asks = options.onDuplicate === 'reject' || options.onDuplicate === 'restart'
    const wire: WireOptions = {
      replyTo,
      ...(meta === undefined ? {} : { meta }),
      ...(asks ? { onDuplicate: options.onDuplicate as 'reject' | 'restart' } : {}),
      ...(options.retentionMs === undefined ? {} : { retentionMs: options.retentionMs }),
      ...(runAt === undefined ? {} : { runAt }),
    }
    const message: SubmitMessage = { type: 'submit', id, run, options: wire, definition }
    const accepted = asks ? replies.accepted(run, this.#answerMs) : undefined
    // The refusal may come before the send has resolved; it is awaited below.
    accepted?.promise.catch(() => undefined)
    replies.expect({ id, run })
    try {
      const partition = partitionOf(id, space.partitions)
      const taken = ownerHere(connection.transport, this.namespace, partition)?.submit(message)
      if (taken === undefined || !(await taken))
        await sender.send({ target: { to: 'inbox', partition }, id: run, body: encodeInbox(message) })
      await accepted?.promise
    } catch (error) {
      accepted?.forget()
      throw error
    }
    return this.#handle(id, { id, run, hash: definition.hash })
  }

  /** Tells at once what the owner would tell later, where committed rows can be read. */
  async #checkConflict(space: Space, id: string, hash: string, options: SubmitOptions): Promise<void> {
    if (space.reader === undefined || options.onDuplicate === 'restart') return
    const row = await this.#readRow(space, id)
    // A forgotten one, whose rows are being taken away, is in nobody's way.
    if (row === undefined || row.leaving) return
    if (options.onDuplicate === 'reject')
      throw new TaskError('TASKS_ID_EXISTS', `the pipeline "${id}" exists (${row.status})`)
    if (row.hash !== hash)
      throw new TaskError('TASKS_ID_CONFLICT', `the pipeline "${id}" exists (${row.status}) with another definition`)
  }

  attach<Out = unknown>(id: string): PipelineHandle<Out> {
    checkId('pipeline id', id)
    return this.#handle(id, { id, run: undefined }) as PipelineHandle<Out>
  }

  #handle(id: string, ref: RunRef): PipelineHandle<never> {
    const { run } = ref
    const orPending = async <Told extends PipelineStatus>(
      asked: Promise<Told | undefined>,
    ): Promise<Told | PipelineStatus> => {
      const told = await asked
      if (told !== undefined) return told
      if (run === undefined) throw new TaskError('TASKS_NOT_FOUND', noPipeline(id))
      return { id, run, name: '', status: 'PENDING', tasks: 0, done: 0, attempts: 0 }
    }
    const meant = async (): Promise<MeantRun> => (await this.#connect()).replies.meant(ref)
    const status = async (): Promise<PipelineStatus> => orPending(this.#questions.status(await meant()))
    return {
      id,
      result: (options = {}) => this.#result(ref, options) as Promise<never>,
      status,
      describe: async (options = {}) => orPending(this.#questions.describe(await meant(), options)),
      pause: () => this.pause(id),
      resume: () => this.resume(id),
      cancel: (options) => this.cancel(id, options),
      retry: () => this.retry(id) as Promise<PipelineHandle<never>>,
      progress: async (): Promise<Progress> => {
        const { done, tasks } = await status()
        return { done, total: tasks }
      },
    }
  }

  async #result(ref: RunRef, options: WaitOptions): Promise<unknown> {
    checkWait(options)
    const { id, run } = ref
    const { space, replies, values } = await this.#connect()
    let ended: Ended
    try {
      ended = (run === undefined ? await this.#endedRow(space, id) : undefined) ?? (await replies.ended(ref, options))
    } catch (error) {
      throw await this.#explained(id, error)
    }
    if (ended.status === 'CANCELLED' && !isFailure(ended.value))
      throw new TaskError('TASKS_CANCELLED', `the pipeline "${id}" was cancelled`)
    const value = await values.fetch(blobPrefix(id, ended.run), ended.value)
    if (isFailure(value)) throw decodeFailure(value)
    return decodeValue(this.#codec, value)
  }

  /** The outcome of long ago, where rows can be read: no worker has to be up for it. */
  async #endedRow(space: Space, id: string): Promise<Ended | undefined> {
    const row = space.reader === undefined ? undefined : await this.#readRow(space, id)
    if (row === undefined || !isOver(row.status)) return undefined
    return { type: 'ended', id, run: row.run, status: row.status, value: row.outcome }
  }

  /** A time-out says what the run is doing, as far as can be told. */
  async #explained(id: string, error: unknown): Promise<unknown> {
    if (!TaskError.is(error) || error.code !== 'TASKS_RESULT_TIMEOUT') return error
    const status = await this.status(id).catch(() => undefined)
    const why =
      status === undefined
        ? 'no owner has taken it, or none answers: is a worker of this namespace up? It is stored and goes on when one is'
        : `it is ${status.status} with ${status.done} of ${status.tasks} tasks done, and goes on while workers are up`
    return new TaskError('TASKS_RESULT_TIMEOUT', `${error.message}; ${why}`)
  }

  // ---- Lone tasks ---------------------------------------------------------------------------------------------------

  async enqueue(
    work: Task<[unknown], unknown> | Submittable<unknown, never>,
    second?: unknown,
    third?: EnqueueOptions,
  ): Promise<TaskHandle<never>> {
    const [pipeline, options] = workOf<EnqueueOptions>('enqueue', work, second, third)
    checkEnqueue(options)
    this.#options.tasks?.assertKnows(pipeline)
    if (isKept(options)) {
      const { queue, priority, reply: _, keepResult: __, ...rest } = options
      const entry =
        queue === undefined && priority === undefined
          ? pipeline
          : pipeline.set({ ...(queue === undefined ? {} : { queue }), ...(priority === undefined ? {} : { priority }) })
      return this.submit(entry, rest as never)
    }
    const entry = loneEntryOf(pipeline)
    const { sender, replies, lone } = await this.#connect()
    const id = this.#clock.uid()
    const replyTo = options.reply === true ? await replies.address() : undefined
    if (replyTo !== undefined) replies.expect({ id, run: undefined })
    await sender.send(await lone.sendOf(id, entry, options, replyTo))
    return {
      id,
      result: async (wait = {}) => {
        if (replyTo === undefined) {
          throw new TaskError(
            'TASKS_UNSUPPORTED',
            `the lone task "${id}" was enqueued without { reply: true } or { keepResult: true }: nobody keeps its result`,
          )
        }
        return this.#result({ id, run: undefined }, wait) as Promise<never>
      },
    }
  }

  async enqueueMany(
    task: Task<[unknown], unknown>,
    inputs: readonly unknown[],
    options: Omit<EnqueueOptions, 'id' | 'reply'> = {},
  ): Promise<readonly string[]> {
    const first = firstOfMany(task, inputs, options)
    checkEnqueueMany(options)
    this.#options.tasks?.assertKnows(first)
    if (isKept(options)) return inParts(inputs, (some) => this.#enqueueKept(task, some, options))
    return inParts(inputs, (some) => this.#enqueueLone(task, some, options))
  }

  async #enqueueKept(
    task: Task<[unknown], unknown>,
    inputs: readonly unknown[],
    options: EnqueueOptions,
  ): Promise<{ readonly outcomes: Promise<readonly (string | Error)[]> }> {
    const sends = inputs.map(async (input) => (await this.enqueue(task, input, options)).id)
    return { outcomes: Promise.all(sends.map((send) => send.catch((error: unknown) => error as Error))) }
  }

  async #enqueueLone(
    task: Task<[unknown], unknown>,
    inputs: readonly unknown[],
    options: EnqueueOptions,
  ): Promise<{ readonly outcomes: Promise<readonly (string | Error)[]> }> {
    const { sender, lone } = await this.#connect()
    const sends: Send[] = []
    for (const input of inputs) {
      const send = lone.sendOf(this.#clock.uid(), loneEntryOf(task.send(input)), options, undefined)
      sends.push(send instanceof Promise ? await send : send)
    }
    const outcomes = sender.sendAll(sends).then((errors) => sends.map(({ id }, index) => errors[index] ?? id))
    return { outcomes }
  }

  // ---- Questions ----------------------------------------------------------------------------------------------------

  async #readRow(space: Space, id: string): Promise<PipelineRow | undefined> {
    const key = pipelineKey(id)
    const [bytes] = await space.reader!.load(partitionOf(id, space.partitions), [key])
    return bytes === undefined ? undefined : (decodeRow(key, bytes) as PipelineRow)
  }

  status(id: string): Promise<PipelineStatus | undefined> {
    return this.#questions.status({ id })
  }

  describe(id: string, options: DescribeOptions = {}): Promise<PipelineDescription | undefined> {
    return this.#questions.describe({ id }, options)
  }

  async #command(command: Command, id: string, options?: CancelOptions): Promise<Obeyed> {
    const { space, replies } = await this.#connect()
    return giveCommand({ space, replies, clock: this.#clock, answerMs: this.#answerMs }, command, id, options)
  }

  async pause(id: string): Promise<void> {
    await this.#command('pause', id)
  }

  async resume(id: string): Promise<void> {
    await this.#command('resume', id)
  }

  async cancel(id: string, options: CancelOptions = {}): Promise<void> {
    checkOptions('cancel', options, ['graceMs'])
    await this.#command('cancel', id, options)
  }

  async retry<Out>(id: string): Promise<PipelineHandle<Out>> {
    const { run } = await this.#command('retry', id)
    return this.#handle(id, { id, run }) as PipelineHandle<Out>
  }

  async delete(id: string): Promise<void> {
    await this.#command('delete', id)
  }

  list(options: ListOptions = {}): Promise<PipelineList<never>> {
    return this.#questions.list(options) as Promise<PipelineList<never>>
  }

  owners(): Promise<Owners> {
    return this.#questions.owners()
  }

  // ---- Events -------------------------------------------------------------------------------------------------------

  async sendEvent(event: SendEventOptions): Promise<string> {
    const { space, sender, values } = await this.#connect()
    const { inlineBytes } = values.limits
    const { id, send } = eventSend(event, this.#codec, space.partitions, inlineBytes, () => this.#clock.uid())
    await sender.send(send)
    return id
  }

  async subscribe(options: SubscribeOptions = {}, handler?: (batch: readonly EventItem[]) => unknown): Promise<never> {
    const settings = subscribeSettings(options, handler)
    const { space } = await this.#connect()
    const { pipelineId } = options
    const partitions =
      pipelineId === undefined || settings.name !== undefined
        ? Array.from({ length: space.partitions }, (_, partition) => partition)
        : [partitionOf(pipelineId, space.partitions)]
    const shared = { space, clock: this.#clock, logger: this.#logger, codec: this.#codec }
    const stream = await openEventStream({ ...settings, ...shared, partitions })
    return (handler === undefined ? stream : handled(stream, handler)) as never
  }

  async unsubscribe(name: string): Promise<void> {
    checkId('subscription name', name)
    const { space } = await this.#connect()
    await space.events.forget(name)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const connected = await this.#connected?.catch(() => undefined)
    if (connected === undefined) return
    await connected.replies.close()
    await connected.space.close()
    await connected.connection.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
