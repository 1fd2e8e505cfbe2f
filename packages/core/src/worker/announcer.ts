// Says on the event log what a worker does with its tasks: events/worker-event.ts has the types, and the order.
//
// N1. Without `durable` nobody waits for an event: event-outbox.ts gathers, sends and, at worst, drops them.
// N2. With it the events of an attempt are stored before its outcome leaves the worker, and `scheduled` is part of the commit that makes it true: none is lost that
//     its pipeline has heard of.
import type { Clock } from '../clock'
import type { Dispatch, Draft, Scheduled } from '../engine/draft'
import type { CommitAnnouncer } from '../engine/event-sends'
import { frameOf, splitEntry } from '../engine/paths'
import { sourceOf, timeText, type CloudEvent } from '../events/cloud-event'
import type { TaskDuration, TracedError, WorkerEvents, WorkerEventType, WorkerTask } from '../events/worker-event'
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

/** What an event of a task is about. */
type About = Pick<RunningTask, 'taskId' | 'pipelineId' | 'rootId' | 'run'>

const MOST_MESSAGE = 1_000
const MOST_TRACEBACK = 4_000
/** Tasks of one commit that may have failed. */
const MOST_UNCOMMITTED = 100

export class Announcer implements CommitAnnouncer {
  readonly durable: boolean
  readonly #clock: Clock
  readonly #partitions: number
  readonly #name: string
  readonly #source: string
  readonly #outbox: EventOutbox
  #events = 0

  constructor({ space, clock, logger, durable }: AnnouncerOptions) {
    this.durable = durable
    this.#clock = clock
    this.#partitions = space.partitions
    this.#name = clock.uid()
    this.#source = sourceOf(space.namespace, this.#name)
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
    const since = this.#clock.monotonic()
    const data = (retriesUsed = 0): WorkerTask => taskData(task.taskName, task.attempt, retry, null, retriesUsed)
    const timed = (): WorkerTask & TaskDuration => ({ ...data(), durationMs: this.#clock.monotonic() - since })
    this.#sayOf(task, 'dev.tasks.worker.started', data())
    return {
      finished: () => this.#sayOf(task, 'dev.tasks.worker.finished', timed()),
      failed: (error) => this.#sayOf(task, 'dev.tasks.worker.error-task', { ...timed(), ...traceOf(error) }),
      notStored: (error) =>
        this.#sayOf(task, 'dev.tasks.worker.error-storing-result', { ...timed(), ...traceOf(error) }),
      notFetched: (error) => this.#sayOf(task, 'dev.tasks.worker.error-internal', { ...data(), ...traceOf(error) }),
      retrying: () => this.#sayOf(task, 'dev.tasks.worker.retrying', data(1)),
    }
  }

  revoked(task: RunningTask, retry: RetryData | undefined): void {
    this.#sayOf(task, 'dev.tasks.worker.revoked', taskData(task.taskName, task.attempt, retry, null))
  }

  // ---- Owners -------------------------------------------------------------------------------------------------------

  /** What is to be part of the commit itself. */
  inCommit({ scheduled }: Draft): readonly string[] {
    return this.durable ? scheduled.map((entry) => this.#scheduled(entry)) : []
  }

  committed({ scheduled, home }: Draft): void {
    if (!this.durable) for (const entry of scheduled) this.#outbox.add(home.partition, this.#scheduled(entry))
  }

  notCommitted({ scheduled, dispatches, home }: Draft, error: unknown): void {
    const trace = traceOf(error)
    const say = (type: 'error-scheduling' | 'error-enqueueing', entry: Entry): void => {
      const data = { ...entryData(entry, null), ...trace }
      this.#outbox.add(home.partition, this.#text(`dev.tasks.worker.${type}`, aboutEntry(entry), data))
    }
    for (const entry of scheduled.slice(0, MOST_UNCOMMITTED)) say('error-scheduling', entry)
    for (const entry of dispatches.slice(0, MOST_UNCOMMITTED)) say('error-enqueueing', entry)
  }

  #scheduled(entry: Scheduled): string {
    return this.#text('dev.tasks.worker.scheduled', aboutEntry(entry), entryData(entry, entry.dueAt))
  }

  // ---- No task ------------------------------------------------------------------------------------------------------

  notReceived(error: unknown): void {
    this.#sayOfNone('dev.tasks.worker.error-dequeueing', error)
  }

  notSettled(error: unknown): void {
    this.#sayOfNone('dev.tasks.worker.error-internal', error)
  }

  #sayOfNone(type: 'dev.tasks.worker.error-dequeueing' | 'dev.tasks.worker.error-internal', error: unknown): void {
    this.#outbox.add(partitionOf(this.#name, this.#partitions), this.#text(type, undefined, traceOf(error)))
  }

  // ---- Events -------------------------------------------------------------------------------------------------------

  #sayOf<Type extends WorkerEventType>(about: About, type: Type, data: WorkerEvents[Type]): void {
    this.#outbox.add(partitionOf(about.rootId, this.#partitions), this.#text(type, about, data))
  }

  #text<Type extends WorkerEventType>(type: Type, about: About | undefined, data: WorkerEvents[Type]): string {
    const event: CloudEvent<Type, WorkerEvents[Type]> = {
      specversion: '1.0',
      id: `${this.#name}.${++this.#events}`,
      source: this.#source,
      type,
      subject: about?.taskId ?? this.#name,
      time: timeText(this.#clock.now()),
      datacontenttype: 'application/json',
      ...(about && { pipelineid: about.pipelineId, rootid: about.rootId, run: about.run }),
      data,
    }
    return JSON.stringify(event)
  }
}

/** A task that has started; each is said where it happens. */
export interface Announced {
  finished(): void
  failed(error: unknown): void
  notStored(error: unknown): void
  notFetched(error: unknown): void
  retrying(): void
}

type Entry = Pick<Dispatch, 'id' | 'run' | 'path' | 'attempt' | 'step'>

function aboutEntry({ id, run, path, step }: Entry): About {
  const pipelineId = id + frameOf(splitEntry(path)!.chain)
  return { taskId: step.taskId ?? id + path, pipelineId, rootId: id, run }
}

const entryData = ({ step, attempt }: Entry, executeAt: number | null): WorkerTask =>
  taskData(step.task, attempt, step.retry, executeAt)

function taskData(
  task: string,
  attempt: number,
  retry: RetryData | undefined,
  executeAt: number | null,
  retriesUsed = 0,
): WorkerTask {
  const { maxRetries = 0, delayMs = 0 } = retry ?? {}
  const retries = Math.max(0, maxRetries - (attempt - 1) - retriesUsed)
  return { task, attempt, retries, retryDelayMs: delayMs, executeAt }
}

function traceOf(thrown: unknown): TracedError {
  const { code, name, message, stack } = toFailure(thrown)
  const error = { code, name, message: message.slice(0, MOST_MESSAGE) }
  return { error, traceback: (stack ?? `${name}: ${message}`).slice(0, MOST_TRACEBACK) }
}
