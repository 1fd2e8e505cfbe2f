// A worker process: runs tasks from its queues, and takes its share of the partitions.
import { waitAtMost, type Clock } from '../clock'
import { connect, connectOptionsOf } from '../connect'
import { Owner } from '../engine/owner'
import { joinOwners } from '../engine/owners-here'
import { Turns } from '../engine/turns'
import { TaskError } from '../errors'
import { LargeValues } from '../large-values'
import { checkMs, checkOptions } from '../option-checks'
import type { Logger } from '../logger'
import { withRecentBlobs } from '../recent-blobs'
import type { TaskSource } from './task-source'
import type { Bytes, Space } from '../transport'
import { decodeSignal, type CancelledSignal } from '../wire/signal'
import { Announcer } from './announcer'
import { withBuiltIns } from './built-in-tasks'
import { Consumer } from './consumer'
import { Executor } from './executor'
import { Runner } from './runner'
import { workerSettings, type WorkerOptions } from './settings'
import { LISTEN_QUEUES } from '../event-listener'
import { drainOnSignals } from './signals'
import { TaskHookList } from './task-hooks'

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
  const connection = await connect(options.transport, connectOptionsOf(options.adapters, clock, logger))
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
  const { roles } = settings
  // Who only owns, or only works, stores for others.
  if (roles.includes('owner') && roles.includes('worker')) space = withRecentBlobs(space)
  const values = new LargeValues(space, clock)
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
