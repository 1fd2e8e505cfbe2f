// Runs a pipeline for a test, for real: client, owner, worker and transport, in memory, on a clock that jumps to whatever comes next.
import { createClient } from '../client/client'
import type { TaskError } from '../errors'
import { memoryTransport } from '../memory/memory-transport'
import { checkMethods, checkOptions } from '../option-checks'
import type { Plain } from '../passing'
import type { Submittable } from '../pipeline'
import type { Tasks } from '../tasks'
import { startWorker } from '../worker/worker'
import { silentLogger } from './silent-logger'
import { virtualClock } from './virtual-clock'
import { WatchedTasks } from './watched-tasks'

/** Which starts of a task fail, counted from 1 over the whole run. */
export type FailOn = Readonly<Record<string, readonly number[]>>

export interface TestOptions {
  /** The registry that the pipeline's tasks are bound in. */
  readonly tasks: Tasks
  /** Functions in place of the bound ones, by task name. */
  readonly override?: Readonly<Record<string, (...args: never) => unknown>>
  readonly failOn?: FailOn
  readonly meta?: Readonly<Record<string, unknown>>
  /** Of jitter and ids: the same seed, the same run. Default 1. */
  readonly seed?: number
  /** Gives up after this much virtual time, in ms. Default 30 days. */
  readonly timeoutMs?: number
}

export interface TimelineEntry {
  /** Virtual ms since the submit. */
  readonly atMs: number
  readonly task: string
  /** Path of the entry in the pipeline. */
  readonly path: string
  readonly attempt: number
  readonly outcome: 'ok' | 'failed'
  /** What it threw. */
  readonly error?: string
}

export interface TestRun<Out> {
  /** The result; undefined if the run failed. */
  readonly result: Out | undefined
  readonly error: TaskError | undefined
  /** What ran, in order of ending. */
  readonly timeline: readonly TimelineEntry[]
  /** The timeline as text, a line each. */
  toString(): string
}

const DAY_MS = 24 * 3_600_000
/** Nothing is lost here, so nothing has to be asked for again: time has no heartbeats to stop at. */
const NEVER_MS = 3_650 * DAY_MS

/**
 * Runs a pipeline in this process on a virtual clock: a week of retries takes milliseconds.
 * @throws TaskError TASKS_OPTIONS; TASKS_UNKNOWN_TASK if the pipeline, `override` or `failOn` names a task that is not bound
 */
export async function testPipeline<Out>(
  pipeline: Submittable<Out, void>,
  options: TestOptions,
): Promise<TestRun<Plain<Out>>> {
  checkOptions('testPipeline', options, ['tasks', 'override', 'failOn', 'meta', 'seed', 'timeoutMs'])
  const { tasks, meta, seed = 1, timeoutMs = 30 * DAY_MS } = options
  checkMethods('testPipeline: tasks', tasks, ['bind', 'assertKnows'])
  tasks.assertKnows(pipeline as Submittable<unknown, never>)
  const clock = virtualClock({ seed })
  const timeline: TimelineEntry[] = []
  const began = clock.now()
  const watched = new WatchedTasks(options, (entry) => timeline.push({ atMs: clock.now() - began, ...entry }))
  const transport = memoryTransport({ clock })
  const worker = await startWorker({
    tasks: watched,
    transport,
    clock,
    logger: silentLogger,
    partitions: 1,
    leaseMs: NEVER_MS,
  })
  const client = createClient({
    namespace: tasks.namespace,
    transport,
    clock,
    logger: silentLogger,
    answerMs: NEVER_MS,
  })
  try {
    const run = await client.submit(pipeline, meta === undefined ? {} : { meta })
    let settled = false
    const ending = run
      .result({ timeoutMs })
      .then(
        (result) => ({ result, error: undefined }),
        (error: unknown) => ({ result: undefined, error: error as TaskError }),
      )
      .finally(() => (settled = true))
    while (!settled) {
      // While a function runs, its time is real and not to be skipped.
      await clock.advanceToNext(Infinity, () => watched.busy > 0)
    }
    return { ...(await ending), timeline, toString: () => timeline.map(lineOf).join('\n') }
  } finally {
    const closing = Promise.all([client.close(), worker.close({ drainMs: 0 })])
    await clock.advance(1)
    await closing
    await transport.close()
  }
}

function lineOf({ atMs, task, path, attempt, outcome, error }: TimelineEntry): string {
  const tried = attempt === 1 ? '' : ` attempt ${attempt}`
  return `${String(atMs).padStart(10)} ms  ${task}${path}${tried}  ${outcome}${error === undefined ? '' : `: ${error}`}`
}
