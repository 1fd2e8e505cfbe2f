// Says on the event log what a worker does with its tasks: events/worker-event.ts has the types, and the order.
//
// N1. Without `durable` nobody waits for an event: event-outbox.ts gathers, sends and, at worst, drops them.
// N2. With it the events of an attempt are stored before its outcome leaves the worker, and `scheduled` is part of the commit that makes it true: none is lost that
//     its pipeline has heard of. Until then the task keeps its slot: while the log is away no more attempts than there are slots are at risk of being run again.
import type { Clock } from '../clock'
import type { Dispatch, Draft, Scheduled } from '../engine/draft'
import type { CommitAnnouncer } from '../engine/event-sends'
import { frameOf, splitEntry } from '../engine/paths'
import { sourceOf, timeText, traceMember } from '../events/cloud-event'
import type { HueyStatus } from '../events/huey-event'
import { WORKER_EVENTS } from '../events/worker-event'
import { toFailure } from '../failure'
import { partitionOf } from '../ids'
import type { Logger } from '../logger'
import type { RetryData } from '../retry'
import type { Space } from '../transport'
import { EventOutbox } from './event-outbox'
import type { RunningTask } from './running-task'

export interface AnnouncerOptions {
  readonly space: Space
  readonly clock: Clock
  readonly logger: Logger
  readonly durable: boolean
}

const MOST_MESSAGE = 1_000
const MOST_TRACEBACK = 4_000
/** Tasks of one commit that may have failed. */
const MOST_UNCOMMITTED = 100

/** Events are put together by hand, as JSON: to make objects of them first costs more than all else about them. */
type Json = string

export class Announcer implements CommitAnnouncer {
  readonly durable: boolean
  readonly #clock: Clock
  readonly #partitions: number
  readonly #name: string
  readonly #source: Json
  readonly #outbox: EventOutbox
  #events = 0
  #timeMs = Number.NaN
  #time = ''

  constructor({ space, clock, logger, durable }: AnnouncerOptions) {
    this.durable = durable
    this.#clock = clock
    this.#partitions = space.partitions
    this.#name = clock.uid()
    this.#source = JSON.stringify(sourceOf(space.namespace, this.#name))
    this.#outbox = new EventOutbox({ space, clock, logger, name: this.#name, keepsAll: durable })
  }

  /** Events that nobody will see. */
  get dropped(): number {
    return this.#outbox.dropped
  }

  /** Resolves when what was said is durable; undefined if nobody is to wait for that. */
  stored(): Promise<void> | undefined {
    return this.durable ? this.#outbox.stored() : undefined
  }

  close(patienceMs: number): Promise<void> {
    return this.#outbox.close(patienceMs)
  }

  // ---- Tasks --------------------------------------------------------------------------------------------------------

  started(task: RunningTask, retry: RetryData | undefined): Announced {
    return new Announced(this, this.#clock, task, retry)
  }

  revoked(task: RunningTask, retry: RetryData | undefined): void {
    this.sayOf(task.rootId, 'revoked', aboutOf(task), dataOf(task.taskName, task.attempt, retry))
  }

  sayOf(rootId: string, status: HueyStatus, about: Json, data: Json): void {
    this.#outbox.add(partitionOf(rootId, this.#partitions), this.#event(status, about, data))
  }

  // ---- Owners -------------------------------------------------------------------------------------------------------

  inCommit({ scheduled }: Draft): readonly Json[] {
    return this.durable ? scheduled.map((entry) => this.#scheduled(entry)) : []
  }

  committed({ scheduled, home }: Draft): void {
    if (!this.durable) for (const entry of scheduled) this.#outbox.add(home.partition, this.#scheduled(entry))
  }

  notCommitted({ scheduled, dispatches, home }: Draft, error: unknown): void {
    const trace = traceOf(error)
    const say = (status: HueyStatus, entry: Entry): void =>
      this.#outbox.add(home.partition, this.#event(status, aboutEntry(entry), dataOfEntry(entry) + trace))
    for (const entry of scheduled.slice(0, MOST_UNCOMMITTED)) say('error-scheduling', entry)
    for (const entry of dispatches.slice(0, MOST_UNCOMMITTED)) say('error-enqueueing', entry)
  }

  #scheduled(entry: Scheduled): Json {
    return this.#event('scheduled', aboutEntry(entry), dataOfEntry(entry, entry.dueAt))
  }

  // ---- No task ------------------------------------------------------------------------------------------------------

  notReceived(error: unknown): void {
    this.#sayOfNone('error-dequeueing', error)
  }

  notSettled(error: unknown): void {
    this.#sayOfNone('error-internal', error)
  }

  #sayOfNone(status: HueyStatus, error: unknown): void {
    const about = `"subject":"${this.#name}",`
    this.#outbox.add(partitionOf(this.#name, this.#partitions), this.#event(status, about, traceOf(error).slice(1)))
  }

  // ---- Events -------------------------------------------------------------------------------------------------------

  #event(status: HueyStatus, about: Json, data: Json): Json {
    const now = this.#clock.now()
    if (now !== this.#timeMs) {
      this.#timeMs = now
      this.#time = timeText(now)
    }
    return (
      `{"specversion":"1.0","id":"${this.#name}.${++this.#events}","source":${this.#source},"type":"${WORKER_EVENTS}${status}",` +
      `"time":"${this.#time}","datacontenttype":"application/json",${about}"data":{${data}}}`
    )
  }
}

/** A task that has started; what happens to it is said where it happens. */
export class Announced {
  readonly #announcer: Announcer
  readonly #clock: Clock
  readonly #task: RunningTask
  readonly #retry: RetryData | undefined
  readonly #since: number
  readonly #rootId: string
  readonly #about: Json
  readonly #data: Json

  constructor(announcer: Announcer, clock: Clock, task: RunningTask, retry: RetryData | undefined) {
    this.#announcer = announcer
    this.#clock = clock
    this.#task = task
    this.#retry = retry
    this.#since = clock.monotonic()
    this.#rootId = task.rootId
    this.#about = aboutOf(task)
    this.#data = dataOf(task.taskName, task.attempt, retry)
    this.#say('started', this.#data)
  }

  finished(): void {
    this.#say('finished', this.#timed())
  }

  failed(error: unknown): void {
    this.#say('error-task', this.#timed() + traceOf(error))
  }

  notStored(error: unknown): void {
    this.#say('error-storing-result', this.#timed() + traceOf(error))
  }

  notFetched(error: unknown): void {
    this.#say('error-internal', this.#data + traceOf(error))
  }

  retrying(): void {
    this.#say('retrying', dataOf(this.#task.taskName, this.#task.attempt, this.#retry, 1))
  }

  #say(status: HueyStatus, data: Json): void {
    this.#announcer.sayOf(this.#rootId, status, this.#about, data)
  }

  #timed(): Json {
    const durationMs = Math.round((this.#clock.monotonic() - this.#since) * 1000) / 1000
    return `${this.#data},"durationMs":${durationMs}`
  }
}

type Entry = Pick<Dispatch, 'id' | 'run' | 'path' | 'attempt' | 'step' | 'meta'>

function aboutOf({
  taskId,
  pipelineId,
  rootId,
  run,
  meta,
}: Pick<RunningTask, 'taskId' | 'pipelineId' | 'rootId' | 'run'> & Pick<Dispatch, 'meta'>): Json {
  const root = JSON.stringify(rootId)
  const pipeline = pipelineId === rootId ? root : JSON.stringify(pipelineId)
  return `"subject":${JSON.stringify(taskId)},"pipelineid":${pipeline},"rootid":${root},"run":${JSON.stringify(run)},${traceMember(meta)}`
}

function aboutEntry({ id, run, path, step, meta }: Entry): Json {
  const pipelineId = id + frameOf(splitEntry(path)!.chain)
  return aboutOf({ taskId: step.taskId ?? id + path, pipelineId, rootId: id, run, meta })
}

const dataOfEntry = ({ step, attempt }: Entry, executeAt: number | null = null): Json =>
  dataOf(step.task, attempt, step.retry, 0, executeAt)

/** The members of a `WorkerTask`. */
function dataOf(
  task: string,
  attempt: number,
  retry: RetryData | undefined,
  retriesUsed = 0,
  executeAt: number | null = null,
): Json {
  const { maxRetries = 0, delayMs = 0 } = retry ?? {}
  const retries = Math.max(0, maxRetries - (attempt - 1) - retriesUsed)
  return `"task":${JSON.stringify(task)},"attempt":${attempt},"retries":${retries},"retryDelayMs":${delayMs},"executeAt":${executeAt}`
}

/** Those of a `TracedError`, behind others. */
function traceOf(thrown: unknown): Json {
  const { code, name, message, stack } = toFailure(thrown)
  const error = { code, name, message: message.slice(0, MOST_MESSAGE) }
  const traceback = (stack ?? `${name}: ${message}`).slice(0, MOST_TRACEBACK)
  return `,"error":${JSON.stringify(error)},"traceback":${JSON.stringify(traceback)}`
}
