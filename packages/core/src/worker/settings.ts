// A worker's options with every default filled in, checked before anything is opened.
import { systemClock } from '../clock'
import { TaskError } from '../errors'
import { eventLevels } from '../events/pipeline-event'
import { checkQueueName } from '../ids'
import { jsonCodec } from '../json-codec'
import { stderrLogger } from '../logger'
import { badOption, checkCount, checkFlag, checkKeys, checkParts, checkTransport } from '../option-checks'
import type { WorkerOptions } from './worker'

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
