// A context for a task that is called in a plain unit test.
import { runInContext, type TaskContext } from '../context'

/**
 * Runs `fn` as if a worker had called it: `taskContext()` inside gives `context`, with plain values for what is left out.
 */
export function withTaskContext<R>(context: Partial<TaskContext>, fn: () => R): R {
  const controller = new AbortController()
  const silent = (): void => undefined
  return runInContext(
    {
      taskName: 'test',
      taskId: 'test/0',
      pipelineId: 'test',
      rootId: 'test',
      parentId: undefined,
      run: 'test',
      attempt: 1,
      deadline: undefined,
      signal: controller.signal,
      progress: silent,
      logger: { debug: silent, info: silent, warn: silent, error: silent },
      meta: {},
      idempotencyKey: 'test:test:/0',
      ...context,
    },
    fn,
  )
}
