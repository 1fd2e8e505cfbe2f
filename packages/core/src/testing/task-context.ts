// A context for a task that is called in a plain unit test.
import { systemClock } from '../clock'
import { runInContext, type TaskContext, type TaskState } from '../context'
import { checkStateKey } from '../state'
import { silentLogger } from './silent-logger'

/** What a test says of the context: parts of it, and the pipeline's state as a plain object. */
export type TestContext = Partial<Omit<TaskContext, 'state'>> & {
  /** What the task sets is written here. Default: an empty one. */
  readonly state?: Record<string, unknown>
}

/**
 * Runs `fn` as if a worker had called it: `taskContext()` inside gives `context`, with plain values for what is left out.
 */
export function withTaskContext<R>(context: TestContext, fn: () => R): R {
  const controller = new AbortController()
  return runInContext(
    {
      taskName: 'test',
      taskId: 'test/0',
      pipelineId: 'test',
      rootId: 'test',
      parentId: undefined,
      run: 'test',
      attempt: 1,
      now: () => systemClock.now(),
      deadline: undefined,
      signal: controller.signal,
      progress: () => undefined,
      logger: silentLogger,
      meta: {},
      traceparent: undefined,
      idempotencyKey: 'test:test:/0',
      sendEvent: async ({ id = 'test' }) => id,
      ...context,
      state: stateIn(context.state ?? {}),
    },
    fn,
  )
}

function stateIn(values: Record<string, unknown>): TaskState {
  const get = (key?: string): unknown => {
    if (key === undefined) return Object.freeze({ ...values })
    return Object.hasOwn(values, key) ? values[key] : undefined
  }
  return {
    get: get as TaskState['get'],
    set(key, value) {
      checkStateKey('state.set', key)
      if (value === undefined) delete values[key]
      else values[key] = value
    },
  }
}
