// A worker process: runs tasks from its queues, and takes its share of the partitions.
import { waitAtMost, type Clock } from '../clock'
import type { Codec } from '../codec'
import { connect, connectOptionsOf, type ConnectOptions } from '../connect'
import { Owner } from '../engine/owner'
import { joinOwners } from '../engine/owners-here'
import { Turns } from '../engine/turns'
import type { EventLevel } from '../events/pipeline-event'
import { TaskError } from '../errors'
import { LargeValues } from '../large-values'
import { checkMs, checkOptions } from '../option-checks'
import type { Logger } from '../logger'
import type { TaskSource } from './task-source'
import type { Bytes, Space, Transport } from '../transport'
import { decodeSignal, type CancelledSignal } from '../wire/signal'
import { Announcer } from './announcer'
import { withBuiltIns } from './built-in-tasks'
import { Consumer } from './consumer'
import { Executor } from './executor'
import { Runner } from './runner'
import { workerSettings } from './settings'
import { LISTEN_QUEUES } from '../event-listener'
import { drainOnSignals } from './signals'
import { TaskHookList } from './task-hooks'

export interface WorkerOptions {
  /** The tasks that this worker runs. */
  readonly tasks: TaskSource
  /** A URL, or a transport made by hand (which stays open when the worker closes). Default: `TASKS_URL`, else that of `tasks.config.*`. */
  readonly transport?: string | Transport
  /** For a URL: adapters for further schemes, or in place of the published ones. */
  readonly adapters?: ConnectOptions['adapters']
  /** Most tasks at a time. Default 10. */
  readonly concurrency?: number
  /**
   * Most listeners that poll at a time (`tasks.bindListener`): they take no slot of a task. A wait beyond that begins when another one ends. Default 1 000.
   */
  readonly listenerSlots?: number
  /** The queues to serve. Default: those of the tasks. A listener has two: `listen:<name>`, and `heard:<name>` for what it does besides polling. */
  readonly queues?: readonly string[]
  /** How long a task or a partition stays with a process that is silent, in ms. Default 10 000. */
  readonly leaseMs?: number
  /** How long `close` waits for running tasks, in ms. Default 10 000. */
  readonly drainMs?: number
  /** A task that was delivered this often and never ended becomes a dead letter. Default 5, at least 2. */
  readonly maxDeliveries?: number
  /** How long a task that this worker does not know is given back to its queue, from when it first saw it, in ms. Default 600 000: deploys roll. */
  readonly unknownTaskGraceMs?: number
  /**
   * What the partitions of this process say of their pipelines on the event log: nothing, what happens to pipelines, or what happens to each task, too.
   * Default `pipelines`.
   */
  readonly events?: EventLevel
  /**
   * Publishes what this worker does with its tasks (`dev.tasks.worker.*`: Huey's fourteen events) on the event log: in batches, best effort, without holding up a task.
   * Default false: a task would write more than all that is stored of it.
   */
  readonly workerEvents?: boolean
  /** The same, and an attempt's events are durable before its outcome is reported: each attempt waits for the log. Default false. */
  readonly durableWorkerEvents?: boolean
  /**
   * How much is kept of a run that has ended well, or was cancelled, so that `describe` tells of its entries: at most so many bytes with each, until its
   * retention ends. 0: nothing. Default 4 096.
   */
  readonly treeBytes?: number
  /** Which of the two roles this process has. Default both. */
  readonly roles?: readonly ('owner' | 'worker')[]
  /** Whether tasks of this process's partitions may run here without going through a queue. Default true. */
  readonly localLane?: boolean
  /** Close on SIGTERM and SIGINT; a second one exits at once. Default false (true in the `tasks` command). */
  readonly handleSignals?: boolean
  /** Partitions of a namespace that does not exist yet. Default: the transport's. */
  readonly partitions?: number
  readonly codec?: Codec
  readonly logger?: Logger
  readonly clock?: Clock
}

export interface Worker {
  readonly namespace: string
  /** Tasks running now. */
  readonly running: number
  /** Of `workerEvents`: how many were dropped, because the log was away for too long, or too slow. */
  readonly droppedEvents: number
  /** Stops taking tasks, waits for the running ones up to `drainMs`, gives everything else back. Idempotent. */
  close(options?: { readonly drainMs?: number }): Promise<void>
  /** Resolves when the worker has closed, well or badly. */
  readonly closed: Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const PATIENCE_MS = 5_000
/** For events that are still to be published. */
const MOST_EVENTS_PATIENCE_MS = 2_000

/**
 * Starts a worker. Resolves when it receives tasks.
 * @throws TaskError TASKS_NO_TASKS, TASKS_OPTIONS, and whatever the transport refuses (unreachable, too new, unsafe)
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const settings = workerSettings(options)
  const { tasks, clock, logger, leaseMs } = settings
  const connection = await connect(options.transport, connectOptionsOf(options.adapters, clock))
  const known = withBuiltIns(tasks)
  let space: Space
  try {
    space = await connection.transport.open({
      namespace: tasks.namespace,
      ...(options.partitions === undefined ? {} : { partitions: options.partitions }),
    })
  } catch (error) {
    await connection.close()
    throw error
  }
  const values = new LargeValues(space, clock)
  const { roles } = settings
  const listening = settings.queues.filter((queue) => queue.startsWith(LISTEN_QUEUES))
  const queues = settings.queues.filter((queue) => !queue.startsWith(LISTEN_QUEUES))
  const stopOwning = new AbortController()

  const works = roles.includes('worker')
  const { workerEvents, durableWorkerEvents: durable, codec } = settings
  const announcer = workerEvents || durable ? new Announcer({ space, clock, logger, durable }) : undefined
  const runner = new Runner({ space, values, tasks: known, codec, clock, logger, hooks: hooksOf(tasks), announcer })
  /** Slots for the tasks of some queues, and what fills them from there. */
  const stationOf = (served: readonly string[], concurrency: number, maxDeliveries: number, trusting: boolean) => {
    const executor = new Executor({
      concurrency,
      tasks: known,
      queues: served,
      runner,
      clock,
      leaseMs,
      onOrphan: async (outcome) => consumer?.report(outcome),
      onOrphanAbandoned: (dispatch) => consumer?.sendBack(dispatch),
    })
    const shared = { space, values, tasks: known, clock, logger, leaseMs, maxDeliveries, trusting, announcer }
    const { unknownTaskGraceMs } = settings
    const consumer: Consumer | undefined =
      works && served.length > 0 ? new Consumer({ ...shared, queues: served, executor, unknownTaskGraceMs }) : undefined
    return { executor, consumer }
  }
  const { executor, consumer } = stationOf(queues, settings.concurrency, settings.maxDeliveries, false)
  // A poll goes on for as long as nothing happens: that its worker died is no fault of its own.
  const polling = listening.length > 0 ? stationOf(listening, settings.listenerSlots, Infinity, true) : undefined
  const stopListening = space.onSignal((body) => {
    const runs = cancelledRuns(body, logger)
    if (runs.length === 0) return
    executor.cancelRuns(runs)
    polling?.executor.cancelRuns(runs)
  })
  const consuming = Promise.all([consumer?.run(), polling?.consumer?.run()])
  const turns = new Turns(clock)
  const lane = works && settings.localLane ? executor : undefined
  const owning = !roles.includes('owner')
    ? Promise.resolve()
    : space
        .own({ leaseMs })
        .run((session) => {
          const { events, treeBytes } = settings
          const shared = { space, values, lane, turns, clock, logger, leaseMs }
          const owner = new Owner({ ...shared, session, events, announcer, treeBytes })
          const leave = joinOwners(connection.transport, tasks.namespace, session.partition, owner)
          return owner.run().finally(leave)
        }, stopOwning.signal)
        .catch((error: unknown) =>
          logger.error({ error, namespace: tasks.namespace }, 'this worker owns no partitions any more'),
        )

  let closing: Promise<void> | undefined
  let onClosed!: () => void
  const closed = new Promise<void>((resolve) => (onClosed = resolve))

  const shutDown = async (drainMs: number): Promise<void> => {
    stopSignals()
    stopListening()
    consumer?.stop()
    executor.stopTaking()
    // A poll may go on for days: others take it up at once.
    polling?.consumer?.stop()
    polling?.executor.stopTaking()
    polling?.executor.abandon(new TaskError('TASKS_CLOSED', 'the worker is closing'))
    await drained(executor, drainMs, clock, logger)
    // The owners are last: what ended while draining is folded and committed by them.
    stopOwning.abort()
    // A transport that answers no more is not waited for: what this process has, its leases give back.
    const patienceMs = leaseMs + PATIENCE_MS
    if (!(await waitAtMost(clock, patienceMs, owning)))
      logger.warn({ namespace: tasks.namespace }, 'partitions run out instead of being handed over')
    // A batch that was on its way when receiving stopped is given back, too.
    await waitAtMost(clock, patienceMs, consuming)
    await consumer?.close()
    await polling?.consumer?.close()
    await announcer?.close(Math.min(leaseMs, MOST_EVENTS_PATIENCE_MS))
    await space.close()
    await connection.close()
  }
  const close = async (how: { readonly drainMs?: number } = {}): Promise<void> => {
    checkOptions('close', how, ['drainMs'])
    const { drainMs = settings.drainMs } = how
    checkMs('drainMs', drainMs)
    return (closing ??= shutDown(drainMs).finally(onClosed))
  }
  const stopSignals = settings.handleSignals ? drainOnSignals(close, logger) : () => undefined

  return {
    namespace: tasks.namespace,
    get running() {
      return executor.activeCount
    },
    get droppedEvents() {
      return announcer?.dropped ?? 0
    },
    close,
    closed,
    [Symbol.asyncDispose]: () => close(),
  }
}

/** Of a registry that was made by another copy of this library there are none. */
function hooksOf({ events }: TaskSource): TaskHookList | undefined {
  return events instanceof TaskHookList ? events : undefined
}

/** Broadcasts are hints: one that cannot be read is none. */
function cancelledRuns(body: Bytes, logger: Logger): CancelledSignal['runs'] {
  try {
    return decodeSignal(body)?.runs ?? []
  } catch (error) {
    logger.debug({ error }, 'a broadcast could not be read')
    return []
  }
}

async function drained(executor: Executor, drainMs: number, clock: Clock, logger: Logger): Promise<void> {
  if (executor.activeCount === 0) return
  if (await waitAtMost(clock, drainMs, executor.idle())) return
  const left = executor.abandon(new TaskError('TASKS_CLOSED', `the worker is closing and waited ${drainMs} ms`))
  logger.warn(
    { tasks: left.map(({ id, path }) => id + path).slice(0, 20), count: left.length },
    'tasks were given back: they did not end in time',
  )
}
