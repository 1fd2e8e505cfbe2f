// A worker's options with every default filled in, checked before anything is opened.
import { systemClock, type Clock } from '../clock'
import type { Codec } from '../codec'
import type { Adapter } from '../adapter/adapter'
import { TaskError } from '../errors'
import { eventLevels, type EventLevel } from '../events/pipeline-event'
import { checkQueueName } from '../ids'
import { jsonCodec } from '../json-codec'
import { stderrLogger, type Logger } from '../logger'
import { badOption, checkCount, checkFlag, checkKeys, checkParts, checkTransport } from '../option-checks'
import type { Transport } from '../transport'
import type { TaskSource } from './task-source'

export interface WorkerOptions {
  /** The tasks that this worker runs. */
  readonly tasks: TaskSource
  /** A URL, or a transport made by hand (which stays open when the worker closes). Default: `TASKS_URL`, else that of `tasks.config.*`. */
  readonly transport?: string | Transport
  /** For a URL: adapters for further schemes, or in place of the published ones. */
  readonly adapters?: Readonly<Record<string, Adapter>>
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

const KNOWN = [
  'tasks',
  'transport',
  'adapters',
  'concurrency',
  'listenerSlots',
  'queues',
  'leaseMs',
  'drainMs',
  'maxDeliveries',
  'unknownTaskGraceMs',
  'events',
  'workerEvents',
  'durableWorkerEvents',
  'treeBytes',
  'roles',
  'localLane',
  'handleSignals',
  'partitions',
  'codec',
  'logger',
  'clock',
]
const MOST = 100_000
const LISTENER_SLOTS = 1_000
const TREE_BYTES = 4_096
/** It is part of a row that is read with others. */
const MOST_TREE_BYTES = 65_536
/** What `events` may be, for messages. */
export const EVENT_LEVELS = eventLevels.map((level) => `'${level}'`).join(' or ')

/** Of what the configuration knows, too. */
export const DEFAULTS = {
  concurrency: 10,
  leaseMs: 10_000,
  drainMs: 10_000,
  maxDeliveries: 5,
  unknownTaskGraceMs: 600_000,
  events: 'pipelines',
  workerEvents: false,
  durableWorkerEvents: false,
} as const

export function workerSettings(options: WorkerOptions) {
  if (typeof options !== 'object' || options === null)
    throw badOption('startWorker: options', 'an object like { tasks }', options)
  checkKeys('startWorker', options, KNOWN)
  const {
    tasks,
    concurrency = DEFAULTS.concurrency,
    listenerSlots = LISTENER_SLOTS,
    leaseMs = DEFAULTS.leaseMs,
    drainMs = DEFAULTS.drainMs,
    maxDeliveries = DEFAULTS.maxDeliveries,
    unknownTaskGraceMs = DEFAULTS.unknownTaskGraceMs,
    events = DEFAULTS.events,
    workerEvents = DEFAULTS.workerEvents,
    durableWorkerEvents = DEFAULTS.durableWorkerEvents,
    treeBytes = TREE_BYTES,
  } = options
  const { roles = ['owner', 'worker'], localLane = true, handleSignals = false } = options
  const { codec = jsonCodec(), logger = stderrLogger(), clock = systemClock } = options
  if (typeof tasks?.find !== 'function' || typeof tasks.names !== 'function')
    throw badOption('tasks', 'what createTasks() returns', tasks)
  checkTransport(options.transport)
  checkParts(options)
  checkFlag('workerEvents', workerEvents)
  checkFlag('durableWorkerEvents', durableWorkerEvents)
  checkFlag('localLane', localLane)
  checkFlag('handleSignals', handleSignals)
  checkCount('concurrency', concurrency, MOST)
  checkCount('listenerSlots', listenerSlots, MOST)
  atLeast('leaseMs', leaseMs, 50)
  atLeast('drainMs', drainMs, 0)
  checkCount('maxDeliveries', maxDeliveries, MOST)
  // One delivery may be the victim of another task's crash.
  atLeast('maxDeliveries', maxDeliveries, 2)
  atLeast('unknownTaskGraceMs', unknownTaskGraceMs, 0)
  if (!Array.isArray(roles) || roles.length === 0 || roles.some((role) => role !== 'owner' && role !== 'worker')) {
    throw badOption('roles', "a list of 'owner' and 'worker'", roles)
  }
  if (!Number.isSafeInteger(treeBytes) || treeBytes < 0 || treeBytes > MOST_TREE_BYTES)
    throw badOption('treeBytes', `an integer from 0 to ${MOST_TREE_BYTES}`, treeBytes)
  if (!eventLevels.includes(events)) throw badOption('events', EVENT_LEVELS, events)
  if (tasks.names().length === 0 && roles.includes('worker')) {
    throw new TaskError(
      'TASKS_NO_TASKS',
      `a worker of the namespace "${tasks.namespace}" has no tasks: bind them before it starts, or give it the module that does`,
    )
  }
  const queues = options.queues ?? tasks.queues()
  if (!Array.isArray(queues) || (queues.length === 0 && roles.includes('worker')))
    throw badOption('queues', 'a list of queue names', queues)
  for (const queue of queues as readonly string[]) checkQueueName(queue)
  return {
    tasks,
    concurrency,
    listenerSlots,
    leaseMs,
    drainMs,
    maxDeliveries,
    unknownTaskGraceMs,
    events,
    workerEvents,
    durableWorkerEvents,
    treeBytes,
    roles,
    queues: queues as readonly string[],
    localLane,
    handleSignals,
    codec,
    logger,
    clock,
  }
}

function atLeast(field: string, value: number, least: number): void {
  if (!Number.isFinite(value) || value < least) throw badOption(field, `a number of at least ${least}`, value)
}
